# SPDX-License-Identifier: Apache-2.0
"""Where the joints are, for robots that are held by joint positions."""

import math
import time
from collections.abc import Callable, Iterable, Sequence

from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import JointState

from salus_ros import qos


class MeasuredJoints:
    """Listens to `joint_states` while joints are followed.

    Args:
        node: that subscribes.
        refuse: called with what is wrong with a message.
    """

    def __init__(self, node: Node, refuse: Callable[[str], None]):
        self._node = node
        self._refuse = refuse
        self._subscription: Subscription | None = None
        self._positions: dict[str, tuple[float, float]] = {}
        self._names: frozenset[str] = frozenset()

    def follow(self, names: Iterable[str]) -> None:
        """Listen to these joints from now on; none: stop listening."""
        self._names = frozenset(names)
        self._positions = {}
        if self._names and self._subscription is None:
            self._subscription = self._node.create_subscription(
                JointState, "joint_states", self._on_joints, qos.body()
            )
        elif not self._names and self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def _on_joints(self, joints: JointState) -> None:
        if len(joints.position) != len(joints.name):
            self._refuse(
                f"joint_states: {len(joints.name)} joints are named, but {len(joints.position)} "
                "positions are given"
            )
            return
        now = time.monotonic()
        for name, position in zip(joints.name, joints.position, strict=True):
            if name in self._names and math.isfinite(position):
                self._positions[name] = (position, now)

    def positions(self, names: Sequence[str], max_age: float) -> list[float | None]:
        """Measured positions by name [rad, m]; None: not known, or older than `max_age` [s]."""
        oldest = time.monotonic() - max_age
        found = (self._positions.get(name, (0.0, -math.inf)) for name in names)
        return [position if since >= oldest else None for position, since in found]
