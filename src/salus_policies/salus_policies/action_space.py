"""From a policy's own actions to those of ActionCommand, as the policy's configuration declares."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from salus_policies.backends.base import ACTION_SIZE, BackendError
from salus_policies.kinematics import euler_matrix, rotation_matrix, rotation_vector
from salus_policies.options import Options
from salus_policies.robot import RobotDescription, RobotError

SPACES = ("tool_delta", "joint_position", "joint_delta")
FRAMES = ("base", "tool")
ROTATIONS = ("rotation_vector", "euler_xyz", "none")
REFERENCES = ("previous", "observation")
JOINT_UNITS = {"rad": 1.0, "deg": np.pi / 180.0}
RANGE_TOLERANCE = 0.2
"""How far the training data's mean may lie outside the joint limits [rad]."""


@dataclass(frozen=True)
class Gripper:
    """A policy's convention for its gripper, as a straight line.

    Attributes:
        closed: The policy's number for a closed gripper.
        open: Its number for an open one.
        threshold: Opening from which on the proposed action opens fully, below which it closes;
            None: the opening itself is proposed.
        fixed: Opening that is always proposed, for a policy that has no gripper; else None.
    """

    closed: float = 0.0
    open: float = 1.0
    threshold: float | None = None
    fixed: float | None = None

    @classmethod
    def read(cls, options: Options) -> "Gripper":
        """From the section `gripper`.

        Raises:
            BackendError: It is neither {closed, open[, threshold]} nor {fixed}.
        """
        fixed = options.number("fixed", None, 0.0, 1.0)
        if fixed is not None:
            options.end()
            return cls(fixed=fixed)
        closed, opened = options.number("closed"), options.number("open")
        threshold = options.number("threshold", None, 0.0, 1.0)
        options.end()
        if closed == opened:
            raise BackendError(f"{options.where}: closed and open are both {closed}")
        return cls(closed, opened, threshold)

    def opening(self, values: np.ndarray) -> np.ndarray:
        """Openings, 0 closed to 1 open, of the policy's own numbers."""
        return np.clip((values - self.closed) / (self.open - self.closed), 0.0, 1.0)


@dataclass(frozen=True)
class ActionSpace:
    """What the numbers of a policy's action mean.

    In this order: with `tool_delta` the translation (3), the rotation (3, unless it is "none") and
    the gripper (1, unless it is fixed); with `joint_position` and `joint_delta` the joints and the
    gripper; then `padding` numbers that mean nothing.

    Attributes:
        space: One of SPACES.
        gripper: Convention of the gripper.
        frame: With tool_delta: axes of translation and rotation, "base" or "tool".
        rotation: With tool_delta: one of ROTATIONS.
        translation_unit: With tool_delta: metres per unit of the policy.
        rotation_unit: With tool_delta: rad per unit of the policy.
        joints: With the joint spaces: names in the policy's order.
        joint_unit: With the joint spaces: "rad" or "deg".
        reference: With tool_delta and joint_delta: what each action of a chunk is a change of: the
            pose after the "previous" action, or the pose at the "observation".
        padding: Numbers at the end that mean nothing.
        scale: (7,) one normalised action unit, for signals.
    """

    space: str
    gripper: Gripper
    scale: tuple[float, ...]
    frame: str = "base"
    rotation: str = "rotation_vector"
    translation_unit: float = 1.0
    rotation_unit: float = 1.0
    joints: tuple[str, ...] = ()
    joint_unit: str = "rad"
    reference: str = "previous"
    padding: int = 0

    @classmethod
    def read(cls, options: Options) -> "ActionSpace":
        """From the section `action` of a policy's configuration.

        Raises:
            BackendError: An entry is missing, unknown or out of its range.
        """
        space = options.choice("space", SPACES)
        given: dict[str, Any] = {
            "space": space,
            "gripper": Gripper.read(options.section("gripper")),
            "padding": options.integer("padding", 0, 0),
            "scale": _read_scale(options.section("scale")),
        }
        if space == "tool_delta":
            given["frame"] = options.choice("frame", FRAMES)
            given["rotation"] = options.choice("rotation", ROTATIONS)
            given["translation_unit"] = options.number("translation_unit", 1.0, 1e-9)
            given["rotation_unit"] = options.number("rotation_unit", 1.0, 1e-9)
        else:
            given["joints"] = tuple(options.strings("joints"))
            given["joint_unit"] = options.choice("joint_unit", tuple(JOINT_UNITS))
        if space != "joint_position":
            given["reference"] = options.choice("reference", REFERENCES, "previous")
        options.end()
        return cls(**given)

    @property
    def size(self) -> int:
        """Numbers of one action, with padding."""
        if self.space == "tool_delta":
            motion = 3 if self.rotation == "none" else 6
        else:
            motion = len(self.joints)
        return motion + (self.gripper.fixed is None) + self.padding


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
        if space.space != "tool_delta":
            self._order = joint_order(space.joints, robot, "action.joints")
            if means is not None:
                _check_range(np.asarray(means, np.float64), space, robot)
            try:
                self._chain = robot.chain
            except RobotError as error:
                raise BackendError(
                    f"a policy with joint angles as actions needs the robot's kinematics: {error}"
                ) from error

    def convert(
        self, actions: np.ndarray, joint_positions: np.ndarray, tool_rotation: np.ndarray
    ) -> np.ndarray:
        """Converts chunks.

        Args:
            actions: (K, H, N) the policy's own numbers, un-normalised.
            joint_positions: (J,) at the observation, in the robot's order [rad].
            tool_rotation: (3, 3) of the tool in the base, at the observation.

        Returns:
            (K, H, 7): each action as the change of the tool pose from the one before it, in the
            base's axes [m, rad], and the opening of the gripper.
        """
        actions = np.asarray(actions, np.float64)
        result = np.empty((*actions.shape[:2], ACTION_SIZE))
        used = self._space.size - self._space.padding
        gripper = self._space.gripper
        if gripper.fixed is None:
            used -= 1
            result[..., 6] = gripper.opening(actions[..., used])
        else:
            result[..., 6] = gripper.fixed
        motion = actions[..., :used]
        if self._space.space == "tool_delta":
            result[..., :6] = self._tool_motion(motion, tool_rotation)
        else:
            result[..., :6] = self._joint_motion(motion, np.asarray(joint_positions, np.float64))
        return result

    def executable(self, action: np.ndarray) -> np.ndarray:
        """The proposed action: the gripper's opening rounded if the configuration says so.

        Args:
            action: (7,), a mean over members.

        Returns:
            (7,) float64.
        """
        action = np.array(action, np.float64)
        if self._space.gripper.threshold is not None:
            action[6] = float(action[6] >= self._space.gripper.threshold)
        return action

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


def _read_scale(options: Options) -> tuple[float, ...]:
    translation = options.number("translation", minimum=1e-9)
    rotation = options.number("rotation", minimum=1e-9)
    gripper = options.number("gripper", 1.0, 1e-9)
    options.end()
    return (translation,) * 3 + (rotation,) * 3 + (gripper,)


def _in_words(space: ActionSpace) -> str:
    if space.space == "tool_delta":
        parts: Mapping[str, int] = {
            "translation": 3,
            "rotation": 0 if space.rotation == "none" else 3,
        }
    else:
        parts = {"joints": len(space.joints)}
    parts = {**parts, "gripper": int(space.gripper.fixed is None), "padding": space.padding}
    return f"{space.space}: " + ", ".join(f"{name} {number}" for name, number in parts.items())


def _check_range(means: np.ndarray, space: ActionSpace, robot: RobotDescription) -> None:
    if space.space != "joint_position":
        return
    lower, upper = robot.joint_lower, robot.joint_upper
    for name, mean in zip(space.joints, means, strict=False):
        i = robot.joint_names.index(name)
        angle = mean * JOINT_UNITS[space.joint_unit]
        if not lower[i] - RANGE_TOLERANCE <= angle <= upper[i] + RANGE_TOLERANCE:
            raise BackendError(
                f"action.joint_unit '{space.joint_unit}' cannot be right: the training data's mean "
                f"of joint '{name}' is {mean:.4g}, that is {angle:.4g} rad, and its limits are "
                f"{lower[i]:.4g} to {upper[i]:.4g} rad"
            )
