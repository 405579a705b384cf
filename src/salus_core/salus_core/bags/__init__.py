"""Recorded ROS 2 bags as steps: read without ROS."""
