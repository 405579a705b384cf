# SPDX-License-Identifier: Apache-2.0
"""Converts a policy's actions for one robot, as its configuration declares."""

from collections.abc import Sequence

import numpy as np

from salus_core.actions import TOOL_MOTION, ActionKind
from salus_policies.action_space import JOINT_UNITS, ActionSpace, to_si
from salus_policies.backends.base import BackendError, PolicyOutputError
from salus_policies.kinematics import (
    euler_matrix,
    quaternion_matrix,
    rotation_matrix,
    rotation_vector,
)
from salus_policies.robot import RobotDescription, RobotError

RANGE_TOLERANCE = 0.2
"""How far the training data's mean may lie outside the joint limits [rad]."""


class ActionAdapter:
    """Converts the actions of one policy for one robot.

    Args:
        space: What the policy's numbers mean.
        robot: What they are executed on.
        size: Numbers of one action that the checkpoint really gives.
        means: (size,) mean of each number over the policy's training data, where it is known: a
            check of the units.

    Raises:
        BackendError: Policy, declaration and robot do not fit; the message names the numbers.
    """

    def __init__(
        self,
        space: ActionSpace,
        robot: RobotDescription,
        size: int,
        means: Sequence[float] | np.ndarray | None = None,
    ):
        if space.size != size:
            raise BackendError(
                f"the checkpoint gives actions of {size} numbers, but its configuration declares "
                f"{space.size} ({_in_words(space)})"
            )
        self._space = space
        self._robot = robot
        if means is not None:
            _check_range(np.asarray(means, np.float64), space, robot)
        if space.space in ("joint_position", "joint_delta"):
            self._order = joint_order(space.joints, robot, "action.joints")
            try:
                self._chain = robot.chain
            except RobotError as error:
                raise BackendError(
                    f"a policy with joint angles as actions needs the robot's kinematics: {error}"
                ) from error

    def convert(
        self,
        actions: np.ndarray,
        joint_positions: np.ndarray | None,
        tool_quaternion: np.ndarray | None,
    ) -> np.ndarray:
        """Converts chunks.

        Args:
            actions: (K, H, N) the policy's own numbers, un-normalised.
            joint_positions: (J,) at the observation, in the robot's order [rad]; None: the robot
                tells none.
            tool_quaternion: (4,) x, y, z, w of the tool in the base, at the observation; None: the
                robot tells none.

        Returns:
            (K, H, A): with native the own numbers in SI units; else (K, H, 7), each action as the
            change of the tool pose from the one before it, in the base's axes [m, rad], and the
            opening of the gripper.

        Raises:
            PolicyOutputError: The conversion needs what the robot does not tell.
        """
        actions = np.asarray(actions, np.float64)
        used = self._space.own.size
        if self._space.space == "native":
            return actions[..., :used] * [to_si(unit)[1] for unit in self._space.own.units]
        result = np.empty((*actions.shape[:2], TOOL_MOTION.size))
        gripper = self._space.gripper
        if gripper.fixed is None:
            used -= 1
            result[..., 6] = gripper.opening(actions[..., used])
        else:
            result[..., 6] = gripper.fixed
        motion = actions[..., :used]
        if self._space.space == "tool_delta":
            result[..., :6] = self._tool_motion(motion, self._axes(tool_quaternion))
            return result
        if joint_positions is None:
            raise PolicyOutputError(
                "joint actions become motions of the tool by the measured joint positions: "
                "joint_states is missing"
            )
        result[..., :6] = self._joint_motion(motion, np.asarray(joint_positions, np.float64))
        return result

    def own(self, action: np.ndarray) -> np.ndarray | None:
        """The policy's own numbers that travel beside the action.

        Args:
            action: (N,) the policy's own numbers, un-normalised.

        Returns:
            (P,) float64 without padding; None if just these are proposed.
        """
        if self._space.policy_action is None:
            return None
        return np.array(action[: self._space.own.size], np.float64)

    def executable(self, action: np.ndarray) -> np.ndarray:
        """The proposed action: the gripper's opening rounded if the configuration says so.

        Args:
            action: (A,), a mean over members.

        Returns:
            (A,) float64.
        """
        action = np.array(action, np.float64)
        if self._space.gripper.threshold is not None:
            action[6] = float(action[6] >= self._space.gripper.threshold)
        return action

    def _axes(self, tool_quaternion: np.ndarray | None) -> np.ndarray:
        """(3, 3) rotation of the tool in the base."""
        if tool_quaternion is not None:
            return quaternion_matrix(tool_quaternion)
        if self._space.frame == "tool":
            raise PolicyOutputError(
                "actions in the tool's axes need the measured pose: tool_pose is missing"
            )
        return np.eye(3)  # motions in the base's axes are the same from every pose

    def _tool_motion(self, motion: np.ndarray, tool_rotation: np.ndarray) -> np.ndarray:
        space = self._space
        translation = motion[..., :3] * space.translation_unit
        turn = np.zeros((*motion.shape[:2], 3))
        if space.rotation != "none":
            turn = motion[..., 3:] * space.rotation_unit
        turns = (euler_matrix if space.rotation == "euler_xyz" else rotation_matrix)(turn)
        in_tool = space.frame == "tool"
        result = np.empty((*motion.shape[:2], 6))
        start = np.broadcast_to(tool_rotation, (len(motion), 3, 3))
        before, reached = start, np.zeros((len(motion), 3))
        for i in range(motion.shape[1]):
            # Axes and pose that this action is given in.
            origin = before if space.reference == "previous" else start
            step = (origin @ translation[:, i, :, None])[..., 0] if in_tool else translation[:, i]
            after = origin @ turns[:, i] if in_tool else turns[:, i] @ origin
            if space.reference == "observation":
                step, reached = step - reached, step
            result[:, i, :3] = step
            result[:, i, 3:] = rotation_vector(after @ np.swapaxes(before, -1, -2))
            before = after
        return result

    def _joint_motion(self, motion: np.ndarray, now: np.ndarray) -> np.ndarray:
        space = self._space
        named = motion * JOINT_UNITS[space.joint_unit]
        targets = np.empty_like(named)
        targets[..., self._order] = named
        if space.space == "joint_delta":
            if space.reference == "previous":
                targets = np.cumsum(targets, axis=1)
            targets = targets + now
        start = np.broadcast_to(now, (len(targets), 1, len(now)))
        position, rotation = self._chain.pose(np.concatenate([start, targets], axis=1))
        turn = rotation[:, 1:] @ np.swapaxes(rotation[:, :-1], -1, -2)
        return np.concatenate([np.diff(position, axis=1), rotation_vector(turn)], axis=-1)


def joint_order(names: Sequence[str], robot: RobotDescription, where: str) -> list[int]:
    """Where each of a policy's joints is in the robot's order.

    Args:
        names: The policy's joints, in its order.
        robot: The robot.
        where: Entry of the configuration, for messages.

    Returns:
        Indices into the robot's joint_names.

    Raises:
        BackendError: They are not the same joints.
    """
    if sorted(names) != sorted(robot.joint_names):
        raise BackendError(
            f"{where} names {len(names)} joints ({', '.join(names)}), the robot's joint_names are "
            f"{len(robot.joint_names)} ({', '.join(robot.joint_names)})"
        )
    return [robot.joint_names.index(name) for name in names]


def _in_words(space: ActionSpace) -> str:
    parts = {f"{kind}": len(space.own.indices(kind)) for kind in ActionKind}
    counted = [f"{name} {number}" for name, number in parts.items() if number]
    if space.padding:
        counted.append(f"padding {space.padding}")
    return f"{space.space}: " + ", ".join(counted)


def _check_range(means: np.ndarray, space: ActionSpace, robot: RobotDescription) -> None:
    lower, upper = robot.joint_lower, robot.joint_upper
    for name, unit, kind, mean in zip(
        space.own.names, space.own.units, space.own.kinds, means, strict=False
    ):
        if kind != ActionKind.JOINT_POSITION or name not in robot.joint_names or not lower:
            continue
        i = robot.joint_names.index(name)
        angle = mean * to_si(unit)[1]
        if not lower[i] - RANGE_TOLERANCE <= angle <= upper[i] + RANGE_TOLERANCE:
            raise BackendError(
                f"the action's unit '{unit}' cannot be right: the training data's mean "
                f"of joint '{name}' is {mean:.4g}, that is {angle:.4g} rad, and its limits are "
                f"{lower[i]:.4g} to {upper[i]:.4g} rad"
            )
