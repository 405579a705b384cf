# SPDX-License-Identifier: Apache-2.0
"""What backends of LeRobot's policies share."""
