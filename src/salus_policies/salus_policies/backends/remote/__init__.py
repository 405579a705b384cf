# SPDX-License-Identifier: Apache-2.0
"""A policy in another interpreter or on another machine."""
