"""Bring-up: what the launch files share."""
