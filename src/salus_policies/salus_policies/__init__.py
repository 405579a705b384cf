# SPDX-License-Identifier: Apache-2.0
"""Policies: their backends, and the signals of their state; free of ROS."""
