# SPDX-License-Identifier: Apache-2.0
"""The quality-of-service profiles of SALUS, by name: see the table in docs/architecture.md."""

from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

RELIABLE = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=100,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.VOLATILE,
)
"""Steps, states, signals, forecasts, commands, events.

A world in lockstep waits for the policy, not for who only listens: with a depth of 10, a predictor
that was stopped for 0.3 s had lost steps; with 100, none after 0.6 s. At 30 Hz it is the 3 s after
which DDS repeats what got lost on the way.
"""

NEWEST = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.VOLATILE,
)
"""Subscriptions from which something is moved: after a gap only the newest message counts."""

EXPIRING = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.VOLATILE,
    lifespan=Duration(seconds=0.25),
)
"""Commands out of lockstep: what got lost is not sent again once it is old."""

LATCHED = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
"""Episode, setup, status and info: who comes late still gets the last message."""

RELIABILITIES = ("reliable", "best_effort")


def body(reliability: str = "best_effort", depth: int = 100) -> QoSProfile:
    """Profile of a subscription to joint states or a tool's pose.

    Best effort fits any publisher, as a robot's drivers offer what they like; reliable is for a
    world in lockstep, which waits anyway.

    Args:
        reliability: one of RELIABILITIES.
        depth: messages kept; at 1 kHz 100 are 0.1 s.

    Raises:
        ValueError: `reliability` is something else.
    """
    if reliability not in RELIABILITIES:
        raise ValueError(f"reliability must be one of {', '.join(RELIABILITIES)}: {reliability!r}")
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy[reliability.upper()],
        durability=DurabilityPolicy.VOLATILE,
    )


def image(reliability: str = "reliable") -> QoSProfile:
    """Profile of a camera's publisher or subscription, of depth 30 if reliable, else 10.

    Reliable, a second of images is kept, so that a recorder that is held up that long loses none.

    A publisher offers `reliable`, which serves subscriptions of both kinds. A subscription picks:
    reliable in lockstep, where the world waits anyway; best effort on a robot, where a late image
    is worth nothing.

    Args:
        reliability: one of RELIABILITIES.

    Raises:
        ValueError: `reliability` is something else.
    """
    if reliability not in RELIABILITIES:
        raise ValueError(f"reliability must be one of {', '.join(RELIABILITIES)}: {reliability!r}")
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=30 if reliability == "reliable" else 10,
        reliability=ReliabilityPolicy[reliability.upper()],
        durability=DurabilityPolicy.VOLATILE,
    )
