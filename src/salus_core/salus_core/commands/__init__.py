# SPDX-License-Identifier: Apache-2.0
"""Commands of this package that need no ROS graph."""
