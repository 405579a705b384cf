# SPDX-License-Identifier: Apache-2.0
"""ROS plumbing that the nodes of SALUS share; no science and no topic names in here."""
