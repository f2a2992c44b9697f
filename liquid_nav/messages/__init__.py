"""Convert ROS messages to events and back. Nothing here imports rclpy: recordings need no ROS.

A type of message that carries events is a plug, see `liquid_nav.messages.plug`: it decodes a
message into an event and, if we write messages of that type, encodes an event into a message.
"""
