# SPDX-License-Identifier: Apache-2.0
"""Recorded ROS 2 bags as steps: read without ROS."""
