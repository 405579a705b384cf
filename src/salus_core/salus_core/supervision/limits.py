# SPDX-License-Identifier: Apache-2.0
"""What may go to the robot: a last check of each action, whatever proposed it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from salus_core.actions import ActionKind, ActionSpec

GRIPPER_OPEN = 1.0
"""Opening that is held before any was commanded."""


@dataclass(frozen=True)
class Limits:
    """Largest motions within one control period; what exceeds them is not executed.

    Attributes:
        translation: norm of each tool's translation [m].
        rotation: norm of each tool's rotation vector [rad].
        joint_step: change of a joint's target from the one before, or joint_delta [rad, m].
        joint_velocity: of each joint [rad/s, m/s].
        base_velocity: of each component of the base [m/s, rad/s].
    """

    translation: float = 0.05
    rotation: float = 0.3
    joint_step: float = 0.2
    joint_velocity: float = 2.0
    base_velocity: float = 1.0


@dataclass(frozen=True)
class Decision:
    """What is executed instead of or as the proposed action.

    Attributes:
        action: (A,) finite; empty: nothing is known that holds the robot, so nothing is sent.
        reason: why it is not the proposed one; empty if it is.
        kind: one of INTERVENTION_NAMES; empty: a hold if there is a reason, else none.
        manoeuvre: name of what is done instead; in mode 'observe' of what would be done.
    """

    action: tuple[float, ...]
    reason: str = ""
    kind: str = ""
    manoeuvre: str = ""

    @property
    def held(self) -> bool:
        """The proposed action is not executed."""
        return bool(self.reason)

    @property
    def intervention(self) -> str:
        """One of INTERVENTION_NAMES."""
        return self.kind or ("hold" if self.held else "pass")


class LimitCheck:
    """Passes a sane action on unchanged and holds otherwise.

    Nothing is clipped: an action far out of range says that its source is broken, and a shortened
    version of a broken action is still a broken one. Holding means: no motion of tool, base and
    joint velocities, and the last targets of joints and grippers.

    Args:
        spec: what the action's numbers mean.
        limits: largest motions.
    """

    def __init__(self, spec: ActionSpec, limits: Limits):
        self.spec = spec
        self.limits = limits
        self._groups = {
            kind: _in_threes(spec, kind)
            for kind in (ActionKind.TOOL_TRANSLATION, ActionKind.TOOL_ROTATION)
        }
        self.reset()

    def reset(self) -> None:
        """Begin an episode: nothing has been commanded yet."""
        self._targets: list[float | None] = [_at_rest(kind) for kind in self.spec.kinds]

    def forget_joints(self) -> None:
        """Begin after a restart: joints may be elsewhere, grippers still hold what they held."""
        for index in self.spec.indices(ActionKind.JOINT_POSITION):
            self._targets[index] = None

    def measured(self, targets: Sequence[float | None]) -> None:
        """Take measured positions as what is held while nothing was commanded.

        Args:
            targets: (A,) None where a dimension holds no position.
        """
        for index in self.spec.indices(ActionKind.JOINT_POSITION):
            if self._targets[index] is None:
                self._targets[index] = targets[index]

    def unknown(self) -> list[str]:
        """Names of the dimensions of which it is not known what holds them."""
        return [
            name
            for name, target in zip(self.spec.names, self._targets, strict=True)
            if target is None
        ]

    def check(self, action: Sequence[float] | np.ndarray) -> Decision:
        """Decide on one proposal.

        Args:
            action: (A,) proposed.

        Returns:
            The action, or what holds the robot and the reason.
        """
        reason = self.objection(action)
        if reason:
            return self.hold(reason)
        decided = tuple(float(value) for value in action)
        for index, kind in enumerate(self.spec.kinds):
            if kind in (ActionKind.JOINT_POSITION, ActionKind.GRIPPER):
                self._targets[index] = decided[index]
        return Decision(decided)

    def hold(self, reason: str) -> Decision:
        """What holds the robot.

        Args:
            reason: for people.

        Returns:
            Its action is empty while the target of a joint is not known.
        """
        if any(target is None for target in self._targets):
            return Decision((), reason)
        return Decision(tuple(target for target in self._targets if target is not None), reason)

    def wrong_length(self, action: Sequence[float] | np.ndarray) -> str:
        """What is wrong with the length of an action; empty: nothing."""
        if len(action) == self.spec.size:
            return ""
        return f"the proposed action has {len(action)} numbers, {self.spec.size} are declared"

    def objection(self, action: Sequence[float] | np.ndarray) -> str:
        """Why an action is not executed; empty: it may be. Nothing is remembered of it."""
        spec, limits = self.spec, self.limits
        wrong = self.wrong_length(action)
        if wrong:
            return wrong
        for name, value in zip(spec.names, action, strict=True):
            if not math.isfinite(value):
                return f"proposed {name.replace('_', ' ')} is {value}"
        for kind, word, unit, limit in (
            (ActionKind.TOOL_TRANSLATION, "translation", "m", limits.translation),
            (ActionKind.TOOL_ROTATION, "rotation", "rad", limits.rotation),
        ):
            for group in self._groups[kind]:
                norm = math.hypot(*(action[index] for index in group))
                if norm > limit:
                    return f"proposed {word} of {norm:.3g} {unit} exceeds {limit:.3g} {unit}"
        for index, (name, kind, value) in enumerate(
            zip(spec.names, spec.kinds, action, strict=True)
        ):
            if kind == ActionKind.GRIPPER and not 0.0 <= value <= 1.0:
                return f"proposed gripper opening of {value:.3g} is not within 0 and 1"
            before = 0.0 if kind == ActionKind.JOINT_DELTA else self._targets[index]
            if kind in (ActionKind.JOINT_POSITION, ActionKind.JOINT_DELTA) and before is not None:
                step = abs(value - before)
                if step > limits.joint_step:
                    return f"proposed step of {name} of {step:.3g} exceeds {limits.joint_step:.3g}"
            largest = {
                ActionKind.JOINT_VELOCITY: limits.joint_velocity,
                ActionKind.BASE: limits.base_velocity,
            }.get(kind)
            if largest is not None and abs(value) > largest:
                return f"proposed velocity of {name} of {value:.3g} exceeds {largest:.3g}"
        return ""


def _at_rest(kind: ActionKind) -> float | None:
    if kind == ActionKind.GRIPPER:
        return GRIPPER_OPEN
    return None if kind == ActionKind.JOINT_POSITION else 0.0


def _in_threes(spec: ActionSpec, kind: ActionKind) -> list[list[int]]:
    """Dimensions of a kind, those of each tool together: a tool has x, y and z."""
    found = spec.indices(kind)
    return [found[start : start + 3] for start in range(0, len(found), 3)]
