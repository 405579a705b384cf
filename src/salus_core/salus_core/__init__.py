# SPDX-License-Identifier: Apache-2.0
"""What SALUS computes; nothing in here imports ROS."""
