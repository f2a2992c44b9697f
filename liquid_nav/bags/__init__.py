"""Recorded flights as files.

MCAP, SQLite (db3), ROS 1 and PX4 logs, read in order of arrival and salvaged where damaged.
"""
