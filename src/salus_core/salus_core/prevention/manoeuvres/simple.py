# SPDX-License-Identifier: Apache-2.0
"""Manoeuvres that know nothing of the scene: slower, still, away, or another sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from salus_core.actions import ActionKind, ActionSpec
from salus_core.prevention.manoeuvres.base import Situation, Tool

_POSITIONS = (ActionKind.JOINT_POSITION, ActionKind.GRIPPER)


@dataclass(frozen=True)
class SlowSettings:
    """Of `slow`.

    Attributes:
        factor: of every motion; positions of joints and grippers stay as proposed.
        most: steps in an episode.
    """

    factor: float = 0.5
    most: int = 40


class Slow:
    """Scales proposed motions down."""

    kind: ClassVar[str] = "slow_down"
    exclusive: ClassVar[bool] = False
    settings_type = SlowSettings

    def __init__(self, name: str, spec: ActionSpec, settings: SlowSettings):
        self.name = name
        self._settings = settings
        self._moves = [i for i, kind in enumerate(spec.kinds) if kind not in _POSITIONS]
        self.reset()

    def reset(self) -> None:
        """See Manoeuvre."""
        self._used = 0

    def act(self, situation: Situation, action: np.ndarray, wanted: bool) -> np.ndarray | None:
        """See Manoeuvre."""
        if not wanted or self._used >= self._settings.most:
            return None
        self._used += 1
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


class Hold:
    """Keeps the robot where it is, grippers included."""

    kind: ClassVar[str] = "hold"
    exclusive: ClassVar[bool] = True
    settings_type = HoldSettings

    def __init__(self, name: str, spec: ActionSpec, settings: HoldSettings):
        self.name = name
        self._settings = settings
        self.reset()

    def reset(self) -> None:
        """See Manoeuvre."""
        self._used = 0

    def act(self, situation: Situation, action: np.ndarray, wanted: bool) -> np.ndarray | None:
        """See Manoeuvre."""
        most = self._settings.most
        if not wanted or (most and self._used >= most):
            return None
        self._used += 1
        return situation.resting


@dataclass(frozen=True)
class HelpSettings:
    """Of `ask_for_help`: there are none."""


class AskForHelp:
    """Holds the robot until an operator answers; asked once in an episode."""

    kind: ClassVar[str] = "ask_for_help"
    exclusive: ClassVar[bool] = True
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
        return situation.resting if self._asked and not self._answered else None


@dataclass(frozen=True)
class RetreatSettings:
    """Of `retreat`.

    Attributes:
        up: height that is gained in a step [m].
        most: steps in an episode.
    """

    up: float = 0.008
    most: int = 10


class Retreat:
    """Rises, with an empty gripper opened, so that the policy begins anew."""

    kind: ClassVar[str] = "retry"
    exclusive: ClassVar[bool] = True
    settings_type = RetreatSettings

    def __init__(self, name: str, spec: ActionSpec, settings: RetreatSettings):
        self.name = name
        self._tool, self._settings, self._size = Tool(spec), settings, spec.size
        self.reset()

    def reset(self) -> None:
        """See Manoeuvre."""
        self._used = 0

    def act(self, situation: Situation, action: np.ndarray, wanted: bool) -> np.ndarray | None:
        """See Manoeuvre."""
        if not wanted or self._used >= self._settings.most:
            return None
        self._used += 1
        opening = situation.opening if situation.carrying else 1.0
        up = np.array([0.0, 0.0, self._settings.up])
        return self._tool.moved(np.zeros(self._size), up, opening)


@dataclass(frozen=True)
class ResampleSettings:
    """Of `resample`.

    Attributes:
        most: steps in an episode.
        margin: by how much another action's risk must be lower than that of the proposed one.
    """

    most: int = 60
    margin: float = 0.0


class Resample:
    """Of the members' actions the one that the predictor holds least risky."""

    kind: ClassVar[str] = "recover"
    exclusive: ClassVar[bool] = False
    settings_type = ResampleSettings

    def __init__(self, name: str, spec: ActionSpec, settings: ResampleSettings):
        self.name = name
        self._settings = settings
        self._grippers = spec.indices(ActionKind.GRIPPER)
        self.reset()

    def reset(self) -> None:
        """See Manoeuvre."""
        self._used = 0

    def act(self, situation: Situation, action: np.ndarray, wanted: bool) -> np.ndarray | None:
        """See Manoeuvre."""
        chunks = situation.proposal.chunks
        if not wanted or chunks is None or situation.risk_of is None:
            return None
        if self._used >= self._settings.most:
            return None
        others = np.asarray(chunks[:, 0], np.float64)
        others[:, self._grippers] = np.round(np.clip(others[:, self._grippers], 0.0, 1.0))
        risks = situation.risk_of(np.vstack([action, others]))
        best = int(np.argmin(risks))
        if best == 0 or risks[0] - risks[best] <= self._settings.margin:
            return None
        self._used += 1
        return others[best - 1]
