# SPDX-License-Identifier: Apache-2.0
"""From a policy's own actions to those of ActionCommand, as the policy's configuration declares."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from salus_core.actions import MAX_ACTIONS, TOOL_MOTION, ActionError, ActionKind, ActionSpec
from salus_policies.backends.base import BackendError
from salus_policies.options import Options

SPACES = ("tool_delta", "joint_position", "joint_delta", "native")
FRAMES = ("base", "tool")
ROTATIONS = ("rotation_vector", "euler_xyz", "none")
REFERENCES = ("previous", "observation")
JOINT_UNITS = {"rad": 1.0, "deg": np.pi / 180.0}
NATIVE_UNITS = {"deg": ("rad", np.pi / 180.0), "deg/s": ("rad/s", np.pi / 180.0), "%": ("1", 0.01)}
"""Units that native actions are converted from, to what and by which factor."""
KIND_UNITS = {
    ActionKind.TOOL_TRANSLATION: ("m",),
    ActionKind.TOOL_ROTATION: ("rad",),
    ActionKind.JOINT_POSITION: ("rad", "m"),
    ActionKind.JOINT_DELTA: ("rad", "m"),
    ActionKind.JOINT_VELOCITY: ("rad/s", "m/s"),
    ActionKind.GRIPPER: ("1",),
    ActionKind.BASE: ("m/s", "rad/s"),
}
"""Of what is proposed: the supervisor's limits are in these."""


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
    """What the numbers of a policy's action mean, and what is proposed to the robot for them.

    In this order: with `tool_delta` the translation (3), the rotation (3, unless it is "none") and
    the gripper (1, unless it is fixed); with `joint_position` and `joint_delta` the joints and the
    gripper; with `native` what `own` names; then `padding` numbers that mean nothing.

    With `native` the policy's own numbers are proposed, for any robot: joint positions of two arms,
    velocities of a base. With the others the change of the tool's pose is, and the opening of the
    gripper.

    Attributes:
        space: One of SPACES.
        action: What is proposed, with its scale.
        own: The policy's own numbers, without padding.
        gripper: Convention of the gripper; with native it has none.
        frame: With tool_delta: axes of translation and rotation, "base" or "tool".
        rotation: With tool_delta: one of ROTATIONS.
        translation_unit: With tool_delta: metres per unit of the policy.
        rotation_unit: With tool_delta: rad per unit of the policy.
        joints: With the joint spaces: names in the policy's order.
        joint_unit: With the joint spaces: "rad" or "deg".
        reference: With tool_delta and joint_delta: what each action of a chunk is a change of: the
            pose after the "previous" action, or the pose at the "observation".
        padding: Numbers at the end that mean nothing.
    """

    space: str
    action: ActionSpec
    own: ActionSpec
    gripper: Gripper = Gripper()
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
            "padding": options.integer("padding", 0, 0, MAX_ACTIONS),
        }
        if space == "native":
            given["own"], given["action"] = _read_native(options)
            options.end()
            return cls(**given)
        given["gripper"] = Gripper.read(options.section("gripper"))
        given["action"] = replace(TOOL_MOTION, scale=_read_scale(options.section("scale")))
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
        try:
            given["own"] = _own_numbers(given)
        except ActionError as error:
            raise BackendError(f"{options.where}: {error}") from error
        return cls(**given)

    @property
    def size(self) -> int:
        """Numbers of one action, with padding."""
        return self.own.size + self.padding

    @property
    def policy_action(self) -> ActionSpec | None:
        """Of PolicyInfo: the own numbers; None if just these are proposed."""
        same = self.space == "native" and self.own.units == self.action.units
        return None if same else self.own


def _read_scale(options: Options) -> tuple[float, ...]:
    translation = options.number("translation", minimum=1e-9)
    rotation = options.number("rotation", minimum=1e-9)
    gripper = options.number("gripper", 1.0, 1e-9)
    options.end()
    return (translation,) * 3 + (rotation,) * 3 + (gripper,)


def _read_native(options: Options) -> tuple[ActionSpec, ActionSpec]:
    """The own numbers, and the same in SI units with their scale."""
    names, kinds = options.strings("names"), options.strings("kinds")
    units, scale = options.strings("units"), options.numbers("scale", 1e-9)
    si = [to_si(unit) for unit in units]
    try:
        own = ActionSpec.of(names, units, kinds)
        proposed = ActionSpec.of(names, [unit for unit, _ in si], kinds, scale)
    except ActionError as error:
        raise BackendError(f"{options.where}: {error}") from error
    if not scale:
        raise BackendError(f"{options.where}: 'scale' is empty: give one for each of 'names'")
    for name, unit, kind in zip(names, proposed.units, proposed.kinds, strict=True):
        if unit not in KIND_UNITS[kind]:
            raise BackendError(
                f"{options.where}: the unit of '{name}' is '{unit}', but that of {kind} is one of "
                f"{', '.join(KIND_UNITS[kind])}"
            )
    return own, replace(
        proposed, scale=tuple(one * by for one, (_, by) in zip(scale, si, strict=True))
    )


def to_si(unit: str) -> tuple[str, float]:
    """The SI unit that a native action's unit is converted to, and the factor."""
    return NATIVE_UNITS.get(unit, (unit, 1.0))


def _own_numbers(given: Mapping[str, Any]) -> ActionSpec:
    """Describes the numbers of a space that is not native."""
    gripper = ("gripper",) if given["gripper"].fixed is None else ()
    if given["space"] == "tool_delta":
        count = 3 if given["rotation"] == "none" else 6
        names = TOOL_MOTION.names[:count]
        kinds: tuple[ActionKind, ...] = TOOL_MOTION.kinds[:count]
        units = (_multiple(given["translation_unit"], "m"),) * 3
        units += (_multiple(given["rotation_unit"], "rad"),) * (count - 3)
    else:
        names = given["joints"]
        kinds = (ActionKind(given["space"]),) * len(names)
        units = (given["joint_unit"],) * len(names)
    return ActionSpec.of((*names, *gripper), (*units, *("1" for _ in gripper)), (*kinds, *gripper))


def _multiple(factor: float, unit: str) -> str:
    return unit if factor == 1.0 else f"{factor:g} {unit}"
