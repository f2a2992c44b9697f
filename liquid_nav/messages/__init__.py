"""ROS messages to and from events. Nothing here imports rclpy: recordings need no ROS.

A type of message that carries events is a plug, see `liquid_nav.messages.plug`: it decodes a
message into an event and, where we write that type ourselves, encodes an event into a message.
"""
