"""Read recorded flights from files: MCAP, SQLite (db3), ROS 1 bags and PX4 logs.

Messages come in the order of their log times, and damaged files are read as far as possible.
"""
