"""The VLA node."""
