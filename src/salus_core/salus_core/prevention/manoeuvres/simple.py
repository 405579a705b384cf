# SPDX-License-Identifier: Apache-2.0
"""Manoeuvres that know nothing of the scene: slower, still, away, or another sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from salus_core.actions import ActionKind, ActionSpec
from salus_core.prevention.manoeuvres.base import HOLD, Situation, Tool

_POSITIONS = (ActionKind.JOINT_POSITION, ActionKind.GRIPPER)


class _Brief:
    """Acts in so many steps of an episode as its setting `most` allows.

    Args:
        name: of the manoeuvre.
        spec: of the actions.
        settings: with `most`; 0: as long as there is reason to.
    """

    exclusive: ClassVar[bool] = False
    reads_scene: ClassVar[bool] = False

    def __init__(self, name: str, spec: ActionSpec, settings: Any):
        self.name = name
        self._settings = settings
        self._prepare(spec)
        self.reset()

    def _prepare(self, spec: ActionSpec) -> None:
        """Look at what the actions mean."""

    def reset(self) -> None:
        """See Manoeuvre."""
        self._used = 0

    def act(self, situation: Situation, action: np.ndarray, wanted: bool) -> np.ndarray | None:
        """See Manoeuvre."""
        most = self._settings.most
        if not wanted or (most and self._used >= most):
            return None
        found = self._instead(situation, action)
        self._used += found is not None
        return found

    def _instead(self, situation: Situation, action: np.ndarray) -> np.ndarray | None:
        """What is executed instead of an action."""
        raise NotImplementedError


@dataclass(frozen=True)
class SlowSettings:
    """Of `slow`.

    Attributes:
        factor: of every motion; positions of joints and grippers stay as proposed.
        most: steps in an episode; 0: as long as there is reason to.
    """

    factor: float = 0.5
    most: int = 40


class Slow(_Brief):
    """Scales proposed motions down."""

    kind: ClassVar[str] = "slow_down"
    settings_type = SlowSettings

    def _prepare(self, spec: ActionSpec) -> None:
        self._moves = [i for i, kind in enumerate(spec.kinds) if kind not in _POSITIONS]

    def _instead(self, situation: Situation, action: np.ndarray) -> np.ndarray:
        changed = np.array(action, np.float64)
        changed[self._moves] *= self._settings.factor
        return changed


@dataclass(frozen=True)
class HoldSettings:
    """Of `hold`.

    Attributes:
        most: steps in an episode; 0: as long as there is reason to.
    """

    most: int = 15


class Hold(_Brief):
    """Keeps the robot where it is, grippers included."""

    kind: ClassVar[str] = "hold"
    exclusive: ClassVar[bool] = True
    settings_type = HoldSettings

    def _instead(self, situation: Situation, action: np.ndarray) -> np.ndarray:
        return HOLD


@dataclass(frozen=True)
class HelpSettings:
    """Of `ask_for_help`: there are none."""


class AskForHelp:
    """Holds the robot until an operator answers; asked once in an episode."""

    kind: ClassVar[str] = "ask_for_help"
    exclusive: ClassVar[bool] = True
    reads_scene: ClassVar[bool] = False
    settings_type = HelpSettings

    def __init__(self, name: str, spec: ActionSpec, settings: HelpSettings):
        self.name = name
        self.reset()

    def reset(self) -> None:
        """See Manoeuvre."""
        self._asked = self._answered = False

    def answer(self) -> None:
        """Somebody has seen to it: the policy goes on."""
        self._answered = True

    def act(self, situation: Situation, action: np.ndarray, wanted: bool) -> np.ndarray | None:
        """See Manoeuvre."""
        self._asked = self._asked or wanted
        return HOLD if self._asked and not self._answered else None


@dataclass(frozen=True)
class RetreatSettings:
    """Of `retreat`.

    Attributes:
        up: height that is gained in a step [m].
        most: steps in an episode; 0: as long as there is reason to.
    """

    up: float = 0.008
    most: int = 10


class Retreat(_Brief):
    """Rises, with an empty gripper opened, so that the policy begins anew."""

    kind: ClassVar[str] = "retry"
    exclusive: ClassVar[bool] = True
    settings_type = RetreatSettings

    def _prepare(self, spec: ActionSpec) -> None:
        self._tool, self._size = Tool(spec), spec.size

    def _instead(self, situation: Situation, action: np.ndarray) -> np.ndarray:
        opening = situation.opening if situation.carrying else 1.0
        up = np.array([0.0, 0.0, self._settings.up])
        return self._tool.moved(np.zeros(self._size), up, opening)


@dataclass(frozen=True)
class ResampleSettings:
    """Of `resample`.

    Attributes:
        most: steps in an episode; 0: as long as there is reason to.
        margin: by how much another action's risk must be lower than that of the proposed one.
    """

    most: int = 60
    margin: float = 0.0


class Resample(_Brief):
    """Of the members' actions the one that the predictor holds least risky."""

    kind: ClassVar[str] = "recover"
    settings_type = ResampleSettings

    def _prepare(self, spec: ActionSpec) -> None:
        self._grippers = spec.indices(ActionKind.GRIPPER)

    def _instead(self, situation: Situation, action: np.ndarray) -> np.ndarray | None:
        chunks = situation.proposal.chunks
        if chunks is None or situation.risk_of is None:
            return None
        others = np.array(chunks[:, 0], np.float64)
        others[:, self._grippers] = np.round(np.clip(others[:, self._grippers], 0.0, 1.0))
        risks = situation.risk_of(np.vstack([action, others]))
        best = int(np.argmin(risks))
        if best == 0 or risks[0] - risks[best] <= self._settings.margin:
            return None
        return others[best - 1]
