"""ROS 2 nodes and autopilot back-ends; the only package that imports `rclpy`."""
