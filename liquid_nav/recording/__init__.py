"""What a flight leaves behind: the recorder, the settings it flew with, and their files."""
