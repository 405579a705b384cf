"""The body's state that belongs to signals: joint states and tool pose by stamp."""

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import JointState

from salus_core.bags.body_values import body_values
from salus_core.episode_store.schema import POSE_NAMES
from salus_ros.stepsync import nanoseconds
from salus_ros.validity import require_joint_state, require_pose

JOINT_STATES, TOOL_POSE = "joint_states", "tool_pose"


class BodyBuffer:
    """Keeps the last messages of each kind and finds those of a stamp.

    Args:
        names: columns of proprioception, as in a run's `state_names`: `position.JOINT`,
            `velocity.JOINT`, `tool.x` and so on.
        capacity: messages kept of each kind.

    Raises:
        ValueError: a name is of none of these forms.
    """

    def __init__(self, names: Sequence[str], capacity: int = 200):
        self.names = tuple(names)
        for name in self.names:
            kind, _, rest = name.partition(".")
            if kind not in ("position", "velocity", "tool") or (
                kind == "tool" and rest not in POSE_NAMES
            ):
                raise ValueError(f"the checkpoint reads '{name}', which no message has")
        self._joints = list(
            dict.fromkeys(n.partition(".")[2] for n in self.names if not n.startswith("tool."))
        )
        self._messages: dict[str, deque[tuple[int, Any]]] = {
            JOINT_STATES: deque(maxlen=capacity),
            TOOL_POSE: deque(maxlen=capacity),
        }

    def add(self, topic: str, message: JointState | PoseStamped) -> None:
        """Keep a message."""
        self._messages[topic].append((nanoseconds(message.header.stamp), message))

    def clear(self) -> None:
        """Forget all messages."""
        for messages in self._messages.values():
            messages.clear()

    def find(self, stamp: int, tolerance: int) -> tuple[JointState, PoseStamped] | None:
        """Both messages of a stamp, or None.

        Args:
            stamp: [ns].
            tolerance: largest difference [ns].
        """
        found = []
        for messages in self._messages.values():
            nearest = min(messages, key=lambda entry: abs(entry[0] - stamp), default=None)
            if nearest is None or abs(nearest[0] - stamp) > tolerance:
                return None
            found.append(nearest[1])
        return found[0], found[1]

    def passed(self, stamp: int, tolerance: int) -> bool:
        """Whether a message of a stamp is missing and a later one of its topic is there already.

        Args:
            stamp: [ns].
            tolerance: largest difference [ns].
        """
        for messages in self._messages.values():
            there = any(abs(entry[0] - stamp) <= tolerance for entry in messages)
            if not there and messages and messages[-1][0] > stamp + tolerance:
                return True
        return False

    def values(self, joints: JointState, pose: PoseStamped) -> np.ndarray:
        """Proprioception (P,) float32; velocities that are not sent are NaN, as recorded.

        Raises:
            InvalidInputError: a message lacks a joint or holds NaN; names which.
        """
        require_joint_state(joints, JOINT_STATES, self._joints)
        require_pose(pose.pose, TOOL_POSE)
        return body_values(joints, pose, self.names)
