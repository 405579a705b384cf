"""What backends of LeRobot's policies share."""
