"""What SALUS computes; nothing in here imports ROS."""
