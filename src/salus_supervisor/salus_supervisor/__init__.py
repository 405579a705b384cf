# SPDX-License-Identifier: Apache-2.0
"""What is executed of what a VLA policy proposes."""
