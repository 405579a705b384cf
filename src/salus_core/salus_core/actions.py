# SPDX-License-Identifier: Apache-2.0
"""What the numbers of an action mean: names, units and kinds, for a robot of any shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

MAX_ACTIONS = 64
"""Bound of `action` in VlaSignals and ActionCommand."""


class ActionError(ValueError):
    """An action does not fit its description; the message gives both lengths or the names."""


class ActionKind(StrEnum):
    """What one number of an action does; the strings of SignalInfo.action_kinds."""

    TOOL_TRANSLATION = "tool_translation"
    """Change of the tool's position within one control period [m]."""
    TOOL_ROTATION = "tool_rotation"
    """Component of the rotation vector of one control period [rad]."""
    JOINT_POSITION = "joint_position"
    """Target of a joint [rad, m]."""
    JOINT_DELTA = "joint_delta"
    """Change of a joint's position within one control period [rad, m]."""
    JOINT_VELOCITY = "joint_velocity"
    """Velocity of a joint [rad/s, m/s]."""
    GRIPPER = "gripper"
    """Opening: 0 closed, 1 open."""
    BASE = "base"
    """Velocity of a mobile base [m/s, rad/s]."""


@dataclass(frozen=True)
class ActionSpec:
    """The dimensions of an action.

    Attributes:
        names: A, one per dimension.
        units: A, SI symbols; "1" for a ratio.
        kinds: A, what each dimension does.
        scale: A, one normalised action unit per dimension; empty: not known.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    kinds: tuple[ActionKind, ...]
    scale: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Check the lengths.

        Raises:
            ActionError: they differ, there is no dimension or more than MAX_ACTIONS, a name is
                there twice, or a scale is not positive and finite.
        """
        count = len(self.names)
        if not 1 <= count <= MAX_ACTIONS:
            raise ActionError(f"an action has 1 to {MAX_ACTIONS} dimensions, not {count}")
        for field in ("units", "kinds", "scale"):
            given = len(getattr(self, field))
            if given != count and (given or field != "scale"):
                raise ActionError(f"{given} action {field} are given for {count} action names")
        if len(set(self.names)) != count:
            raise ActionError(f"action names hold a name twice: {', '.join(self.names)}")
        if not all(np.isfinite(scale) and scale > 0 for scale in self.scale):
            raise ActionError(f"action scales must be positive: {list(self.scale)}")

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        units: Sequence[str],
        kinds: Sequence[str],
        scale: Sequence[float] = (),
    ) -> ActionSpec:
        """From plain sequences, as messages and files hold them.

        Raises:
            ActionError: the lengths differ, or a kind does not exist.
        """
        known = [kind.value for kind in ActionKind]
        for kind in kinds:
            if kind not in known:
                raise ActionError(f"action kind '{kind}' does not exist: use {', '.join(known)}")
        return cls(
            tuple(names),
            tuple(units),
            tuple(ActionKind(kind) for kind in kinds),
            tuple(float(value) for value in scale),
        )

    @property
    def size(self) -> int:
        """A, the number of dimensions."""
        return len(self.names)

    def indices(self, kind: ActionKind) -> list[int]:
        """Dimensions of a kind."""
        return [index for index, found in enumerate(self.kinds) if found == kind]

    def check_size(self, values: Sequence[float] | np.ndarray, where: str) -> None:
        """Check the length of an action.

        Args:
            values: an action.
            where: what holds it, for the error message.

        Raises:
            ActionError: naming both lengths.
        """
        if len(values) != self.size:
            raise ActionError(
                f"{where} has {len(values)} numbers, but the action has {self.size} dimensions: "
                f"{', '.join(self.names)}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, as `of` takes them."""
        return {
            "names": list(self.names),
            "units": list(self.units),
            "kinds": [str(kind) for kind in self.kinds],
            "scale": list(self.scale),
        }


TOOL_MOTION = ActionSpec.of(
    ("x", "y", "z", "rotation_x", "rotation_y", "rotation_z", "gripper"),
    ("m", "m", "m", "rad", "rad", "rad", "1"),
    ("tool_translation",) * 3 + ("tool_rotation",) * 3 + ("gripper",),
)
"""Of an arm in tool space, such as the embedded environment's: see ActionCommand.msg."""
