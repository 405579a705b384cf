# SPDX-License-Identifier: Apache-2.0
"""What a manoeuvre sees of a step, and what it gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from salus_core.actions import ActionKind, ActionSpec
from salus_core.prevention.scene import SceneMemory
from salus_core.runtime.types import Forecast, Proposal

CLOSED = 0.5
"""Opening commands below it close the gripper."""

EMPTY = 0.012
"""Fingers nearer to each other hold nothing [m]."""

UNKNOWN_PACE = 0.02
"""Translation in a step where nobody says how far the policy's go at most [m]."""

HOLD = np.zeros(0)
"""What a manoeuvre gives to keep the robot where it is, grippers included."""

_HELD = 0.5


class ManoeuvreError(ValueError):
    """A manoeuvre is not known, or this robot's actions do not allow it; the message says why."""


@dataclass
class Situation:
    """One step, as the supervisor sees it.

    Attributes:
        step: within the episode.
        proposal: of the policy.
        forecast: of the predictor; None: there is none of this step.
        tool: (3,) tool point in the frame of the actions [m]; NaN: not known.
        yaw: of the tool about the vertical [rad].
        width: distance between the finger pads [m]; NaN: not known.
        scene: what is estimated of the scene.
        opening: last commanded opening of the gripper [0 closed .. 1 open].
        closed_for: steps in a row, up to the last, that commanded the gripper to close.
        warned: types of failure to be acted on.
        risk_of: risk of each of some actions (N, A) -> (N,); None: nobody can tell.
    """

    step: int
    proposal: Proposal
    forecast: Forecast | None
    tool: np.ndarray
    yaw: float
    width: float
    scene: SceneMemory
    opening: float
    closed_for: int
    warned: frozenset[str]
    risk_of: Callable[[np.ndarray], np.ndarray] | None = None

    @property
    def carrying(self) -> bool:
        """The target is held, by the scene's estimate and the fingers."""
        return self.opening < CLOSED and self.scene["grasped"] > _HELD and self.width > EMPTY

    @property
    def load_offset(self) -> np.ndarray:
        """(2,) the held target's centre relative to the tool point [m]; zeros where not known."""
        if not self.carrying or not self.scene.known("held.across", "held.along"):
            return np.zeros(2)
        return turned(self.scene["held.across"], self.scene["held.along"], self.yaw)

    @property
    def goal(self) -> np.ndarray:
        """(2,) where the tool point must go for the load to be over the goal, from here [m]."""
        return self.scene.goal - self.load_offset

    @property
    def body_known(self) -> bool:
        """Tool point and fingers are known."""
        return bool(np.isfinite(self.tool).all() and np.isfinite(self.width))


def turned(across: float, along: float, yaw: float) -> np.ndarray:
    """(2,) in the frame of the actions, of lengths across the fingers and along their motion."""
    return across * np.array([np.cos(yaw), np.sin(yaw)]) + along * np.array(
        [-np.sin(yaw), np.cos(yaw)]
    )


class Tool:
    """Reads and changes actions (A,) that move one tool with one gripper.

    Args:
        spec: of the actions.

    Raises:
        ManoeuvreError: they move no tool, or several.
    """

    def __init__(self, spec: ActionSpec):
        self._xyz = spec.indices(ActionKind.TOOL_TRANSLATION)
        gripper = spec.indices(ActionKind.GRIPPER)
        if len(self._xyz) != 3 or len(gripper) != 1:
            raise ManoeuvreError(
                "manoeuvres that move a tool need three tool_translation and one gripper, but the "
                f"action has {', '.join(map(str, spec.kinds))}"
            )
        self._gripper = gripper[0]
        scale = spec.scale or (UNKNOWN_PACE,) * spec.size
        self.largest = float(min(scale[index] for index in self._xyz))
        """Translation along an axis that the policy itself makes at most in a step [m]."""

    def translation(self, action: np.ndarray) -> np.ndarray:
        """(3,) [m]."""
        return action[self._xyz]

    def opening(self, action: np.ndarray) -> float:
        """Of the gripper."""
        return float(action[self._gripper])

    def moved(
        self,
        action: np.ndarray,
        translation: np.ndarray | None = None,
        opening: float | None = None,
    ) -> np.ndarray:
        """An action with another translation (3,) [m] or opening."""
        found = np.array(action, np.float64)
        if translation is not None:
            found[self._xyz] = translation
        if opening is not None:
            found[self._gripper] = opening
        return found

    def shrunk(self, translation: np.ndarray, largest: float | None = None) -> np.ndarray:
        """A translation brought to at most `largest` [m] along every axis, its direction kept."""
        most = self.largest if largest is None else min(largest, self.largest)
        return translation / max(1.0, float(np.abs(translation).max()) / most)


class Manoeuvre(Protocol):
    """Replaces the proposed action while there is reason to; one object serves one environment.

    It sees every step of an episode, also while it has nothing to do, so that it can follow what
    happens.
    """

    name: str
    kind: ClassVar[str]
    """One of INTERVENTION_NAMES."""
    exclusive: ClassVar[bool]
    """Where it acts, those after it are not asked."""
    reads_scene: ClassVar[bool]
    """It does nothing without a scene estimate."""

    def reset(self) -> None:
        """Begin an episode."""
        ...

    def act(self, situation: Situation, action: np.ndarray, wanted: bool) -> np.ndarray | None:
        """What is executed instead of an action.

        Args:
            situation: of the step.
            action: (A,) as proposed, or as manoeuvres before this one changed it.
            wanted: a failure that this manoeuvre is for is to be acted on.

        Returns:
            (A,) the other action; HOLD; None: nothing is changed.
        """
        ...
