"""What is executed of what a VLA policy proposes."""
