"""Autopilots that speak MAVLink: one link for the ROS back-end and for flights without ROS.

Nothing here imports ROS. `pymavlink` gives the messages; it is the extra ``mavlink``.
"""
