"""Forecasts of failures from the signals of a VLA policy."""
