"""Commands of this package that need no ROS graph."""
