"""Policies: their backends, and the signals of their state; free of ROS."""
