"""ROS messages to and from events. Nothing here imports rclpy: recordings need no ROS."""
