# SPDX-License-Identifier: Apache-2.0
"""What is executed of what a policy proposes; free of ROS."""

from salus_core.supervision.freshness import (
    OTHER_CLOCK,
    WATCHDOG,
    Moment,
    Order,
    RateLimit,
    Standstill,
    stale,
)
from salus_core.supervision.limits import Decision, LimitCheck, Limits

__all__ = [
    "OTHER_CLOCK",
    "WATCHDOG",
    "Decision",
    "LimitCheck",
    "Limits",
    "Moment",
    "Order",
    "RateLimit",
    "Standstill",
    "stale",
]
