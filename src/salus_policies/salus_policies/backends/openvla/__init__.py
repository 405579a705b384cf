"""OpenVLA, and other models whose actions are tokens of a language model."""
