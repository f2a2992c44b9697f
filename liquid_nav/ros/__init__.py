"""ROS 2: messages to events, commands to autopilots, and the nodes; alone in importing `rclpy`."""
