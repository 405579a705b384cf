"""The VLA node: a policy with its backends, and the twelve signals of its state."""
