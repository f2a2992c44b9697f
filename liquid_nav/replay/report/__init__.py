"""What a replay tells: figures, page, film, Rerun recording and MCAP file."""
