# SPDX-License-Identifier: Apache-2.0
"""Forecasts of failures from the signals of a VLA policy."""
