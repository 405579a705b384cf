# SPDX-License-Identifier: Apache-2.0
"""A subset of ROS 2's `launch_ros` package; see the shim's `launch`."""

from . import actions, descriptions, parameter_descriptions, substitutions

__all__ = ["actions", "descriptions", "parameter_descriptions", "substitutions"]
