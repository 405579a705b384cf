# SPDX-License-Identifier: Apache-2.0
"""Joint states and tool poses: what they hold, in the order of names that a reader asks for."""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from salus_core.episode_store.schema import POSE_NAMES
from salus_core.messages.checks import InvalidInputError, require_pose
from salus_core.messages.inputs import Input

JOINT_STATES, TOOL_POSE = "joint_states", "tool_pose"
"""Names of the two inputs."""


class JointReading:
    """Positions and velocities of joints, out of one or several JointState messages.

    Args:
        messages: that each joint's numbers come from, by the joint's name.
    """

    def __init__(self, messages: Mapping[str, Any]):
        self._at = {
            name: (message, list(message.name).index(name)) for name, message in messages.items()
        }

    def positions(self, names: Sequence[str]) -> np.ndarray:
        """(J,) float64 [rad, m].

        Raises:
            KeyError: a joint was not asked for.
        """
        return np.array([message.position[at] for message, at in map(self._at.__getitem__, names)])

    def velocities(self, names: Sequence[str]) -> np.ndarray:
        """(J,) float64 [rad/s, m/s]; NaN: the robot measures none."""
        found = [
            message.velocity[at] if at < len(message.velocity) else math.nan
            for message, at in map(self._at.__getitem__, names)
        ]
        return np.array(found, np.float64)


class JointInput(Input):
    """JointState messages of one or several publishers, such as arm and gripper.

    Only joints that are asked for are looked at. Each comes from the message nearest to the anchor
    that names it.

    Args:
        joints: that are asked for.
        name: of the topic.
        capacity: messages kept at most of one publisher: at 1 kHz, 10 s are 10,000.
        required: see Input.
    """

    def __init__(
        self,
        joints: Sequence[str],
        name: str = JOINT_STATES,
        capacity: int = 16384,
        required: bool = True,
    ):
        super().__init__(name, tuple(dict.fromkeys(joints)), capacity, required)
        self._wanted = frozenset(self.needed)
        self._seen: tuple[str, ...] = ()

    def source(self, message: Any) -> Hashable:
        """Publishers are told apart by the joints that they name."""
        return tuple(message.name)

    def offers(self, message: Any) -> Collection[str]:
        """The joints that are asked for and have a position.

        Raises:
            InvalidInputError: there is not one position per name, or one that is asked for is not
                finite, or a velocity is infinite.
        """
        names = tuple(message.name)
        self._seen = names or self._seen
        wanted = [at for at, name in enumerate(names) if name in self._wanted]
        if not wanted and names:
            return ()
        for quantity in ("position", "velocity"):
            values = getattr(message, quantity)
            if len(values) != len(names) and (quantity == "position" or len(values)):
                raise InvalidInputError(
                    f"{self.name}: {len(names)} joints are named, but {len(values)} values of "
                    f"{quantity} are given"
                )
            for at in wanted if len(values) else ():
                if math.isinf(values[at]) or (quantity == "position" and math.isnan(values[at])):
                    raise InvalidInputError(
                        f"{self.name}: {quantity} of {names[at]} is {float(values[at])}"
                    )
        return frozenset(names[at] for at in wanted)

    def combine(self, found: Mapping[str, Any]) -> JointReading:
        """The joints of several messages together."""
        return JointReading(found)

    def lacking(self, parts: Sequence[str]) -> str:
        """Say which joints never came, and which did."""
        if not self._seen:
            return "nothing came"
        return f"it lacks {', '.join(parts)}; it has {', '.join(self._seen)}"


class PoseInput(Input):
    """PoseStamped messages; those that are not finite or without a unit quaternion are unusable."""

    def __init__(self, name: str = TOOL_POSE, capacity: int = 16384, required: bool = True):
        super().__init__(name, capacity=capacity, required=required)

    def offers(self, message: Any) -> Collection[str]:
        """One part.

        Raises:
            InvalidInputError: naming the component at fault.
        """
        require_pose(message.pose, self.name)
        return self.needed


def pose_values(pose: Any) -> np.ndarray:
    """A geometry_msgs/Pose as (7,) float64 x, y, z, qx, qy, qz, qw, as it was sent.

    Predictors give the quaternion one sign where they read it (salus_core.rotations), so that
    checkpoints of older versions get what they were trained with.
    """
    position, turn = pose.position, pose.orientation
    return np.array(
        [position.x, position.y, position.z, turn.x, turn.y, turn.z, turn.w], np.float64
    )


class BodyNames:
    """Which numbers of joints and tool make up proprioception, in a checkpoint's order.

    Args:
        names: P, as a run's `state_names`: `position.JOINT`, `velocity.JOINT`, `tool.x` and so on.

    Raises:
        ValueError: a name is of none of these forms.
    """

    def __init__(self, names: Sequence[str]):
        self.names = tuple(names)
        for name in self.names:
            kind, _, rest = name.partition(".")
            if kind not in ("position", "velocity", "tool") or (
                kind == "tool" and rest not in POSE_NAMES
            ):
                raise ValueError(f"the checkpoint reads '{name}', which no message has")
        self.joints = tuple(
            dict.fromkeys(n.partition(".")[2] for n in self.names if not n.startswith("tool."))
        )
        self.tool = any(name.startswith("tool.") for name in self.names)

    def inputs(self) -> list[Input]:
        """What a synchroniser needs for them: joint_states and tool_pose, as far as read."""
        joints: list[Input] = [JointInput(self.joints)] if self.joints else []
        return [*joints, *([PoseInput()] if self.tool else [])]

    def values(self, matched: Mapping[str, Any]) -> np.ndarray:
        """Proprioception (P,) float32; NaN: a velocity that is not sent, an input that is missing.

        Args:
            matched: `values` of Matched: JointReading and PoseStamped by the inputs' names.
        """
        known: dict[str, float] = {}
        if JOINT_STATES in matched:
            joints: JointReading = matched[JOINT_STATES]
            for quantity in ("position", "velocity"):
                numbers = getattr(
                    joints, {"position": "positions", "velocity": "velocities"}[quantity]
                )
                known |= dict(
                    zip((f"{quantity}.{j}" for j in self.joints), numbers(self.joints), strict=True)
                )
        if TOOL_POSE in matched:
            values = pose_values(matched[TOOL_POSE].pose)
            known |= dict(zip((f"tool.{axis}" for axis in POSE_NAMES), values, strict=True))
        return np.array([known.get(name, np.nan) for name in self.names], np.float32)
