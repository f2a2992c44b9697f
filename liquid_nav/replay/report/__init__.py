"""The report of a replay as text, JSON and page; its video, Rerun recording and MCAP file."""
