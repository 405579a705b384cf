# SPDX-License-Identifier: Apache-2.0
"""Acting on forecasts: which manoeuvre replaces the proposed action, and when; free of ROS."""
