"""LeRobot's SmolVLA."""
