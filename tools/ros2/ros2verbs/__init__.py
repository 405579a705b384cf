# SPDX-License-Identifier: Apache-2.0
"""The verbs of ros2 that SALUS's documentation uses, for machines without ros2cli."""
