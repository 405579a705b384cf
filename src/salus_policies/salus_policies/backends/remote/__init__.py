"""A policy in another interpreter or on another machine."""
