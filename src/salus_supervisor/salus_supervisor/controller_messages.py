# SPDX-License-Identifier: Apache-2.0
"""An action as the messages that controllers of others take; free of nodes."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import TwistStamped
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from salus_core.actions import ActionError, ActionKind, ActionSpec

TWIST, POSITIONS, VELOCITIES, TRAJECTORY = "twist", "positions", "velocities", "trajectory"
OUTPUTS = (TWIST, POSITIONS, VELOCITIES, TRAJECTORY)

TYPES: dict[str, Any] = {
    TWIST: TwistStamped,
    POSITIONS: Float64MultiArray,
    VELOCITIES: Float64MultiArray,
    TRAJECTORY: JointTrajectory,
}
NEEDED: dict[str, tuple[ActionKind, ...]] = {
    TWIST: (ActionKind.TOOL_TRANSLATION, ActionKind.TOOL_ROTATION),
    POSITIONS: (ActionKind.JOINT_POSITION,),
    VELOCITIES: (ActionKind.JOINT_VELOCITY,),
    TRAJECTORY: (ActionKind.JOINT_POSITION,),
}
"""Kinds of numbers that an output is made of."""


@dataclass(frozen=True)
class Limits:
    """Velocities that are scaled down to these, with their direction kept; 0: no limit.

    Attributes:
        linear: of the tool [m/s].
        angular: of the tool [rad/s].
        joint: of each joint [rad/s, m/s].
    """

    linear: float = 0.0
    angular: float = 0.0
    joint: float = 0.0


class Converter:
    """Turns actions of one description into messages of one output.

    Args:
        output: one of OUTPUTS.
        spec: what the numbers of an action mean.
        period: control period [s].
        limits: of velocities.
        gripper: positions of the gripper's joint, closed and open [rad, m].

    Raises:
        ActionError: the action has no numbers of the kinds that the output needs; names both.
    """

    def __init__(
        self,
        output: str,
        spec: ActionSpec,
        period: float,
        limits: Limits,
        gripper: tuple[float, float] = (0.0, 1.0),
    ):
        self._output = output
        self._spec = spec
        self._period = period
        self._limits = limits
        self._gripper = gripper
        needed = NEEDED[output]
        self._chosen = [i for i, kind in enumerate(spec.kinds) if kind in needed]
        count = {kind: len(spec.indices(kind)) for kind in needed}
        if output == TWIST and set(count.values()) != {3}:
            raise ActionError(
                f"output '{output}' needs three tool_translation and three tool_rotation, but the "
                f"action has {', '.join(spec.kinds)}"
            )
        if not self._chosen:
            raise ActionError(
                f"output '{output}' needs {', '.join(needed)}, but the action has "
                f"{', '.join(spec.kinds)}"
            )
        self.joints = [spec.names[i] for i in self._chosen]
        """Names in the order of the message."""

    def message(self, values: Sequence[float], header: Any) -> tuple[Any, str]:
        """The message of an action, and what was changed of it; empty: nothing.

        Raises:
            ActionError: it has another length, or numbers that are not finite.
        """
        self._spec.check_size(values, "the command")
        numbers = np.asarray(values, float)
        if not np.isfinite(numbers).all():
            raise ActionError("the command holds numbers that are not finite")
        chosen = numbers[self._chosen]
        if self._output == TWIST:
            return self._twist(chosen / self._period, header)
        if self._output == VELOCITIES:
            chosen, said = _bounded(chosen, self._limits.joint, "joints", each=True)
            return _numbers(chosen), said
        if self._output == POSITIONS:
            return _numbers(chosen), ""
        return self._trajectory(chosen, header), ""

    def stop(self, header: Any) -> Any:
        """What stops the robot; None: it holds where it was sent last, if nothing more comes."""
        if self._output == TWIST:
            return TwistStamped(header=header)
        if self._output == VELOCITIES:
            return _numbers(np.zeros(len(self._chosen)))
        if self._output == TRAJECTORY:
            # An empty trajectory: a joint trajectory controller stops and holds.
            return JointTrajectory(header=header, joint_names=self.joints)
        return None

    def gripper(self, values: Sequence[float]) -> Float64MultiArray | None:
        """Position of each gripper; None: the action moves none."""
        openings = [values[i] for i in self._spec.indices(ActionKind.GRIPPER)]
        if not openings:
            return None
        closed, opened = self._gripper
        return _numbers(closed + np.clip(openings, 0.0, 1.0) * (opened - closed))

    def _twist(self, velocity: np.ndarray, header: Any) -> tuple[TwistStamped, str]:
        linear, slowed = _bounded(velocity[:3], self._limits.linear, "the tool")
        angular, turned = _bounded(velocity[3:], self._limits.angular, "the tool's rotation")
        message = TwistStamped(header=header)
        for target, found in ((message.twist.linear, linear), (message.twist.angular, angular)):
            target.x, target.y, target.z = found.tolist()
        return message, "; ".join(filter(None, (slowed, turned)))

    def _trajectory(self, positions: np.ndarray, header: Any) -> JointTrajectory:
        nanoseconds = round(1e9 * self._period)
        point = JointTrajectoryPoint(
            positions=positions.tolist(),
            time_from_start=Duration(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9),
        )
        result = JointTrajectory(joint_names=self.joints, points=[point])
        result.header.frame_id = header.frame_id  # stamp 0: from now on
        return result


def _numbers(values: np.ndarray) -> Float64MultiArray:
    return Float64MultiArray(data=array("d", values.tolist()))


def _bounded(
    velocity: np.ndarray, most: float, whose: str, each: bool = False
) -> tuple[np.ndarray, str]:
    size = float(np.abs(velocity).max() if each else np.linalg.norm(velocity))
    if not most or size <= most:
        return velocity, ""
    return velocity * (most / size), f"{whose}: {size:.3g} is scaled to {most:.3g}"
