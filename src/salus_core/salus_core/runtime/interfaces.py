# SPDX-License-Identifier: Apache-2.0
"""The parts of the episode loop, by what they take and give.

Policy and monitor serve all environments of a process at once, so that a network can take their
observations in one pass: what belongs to an environment is kept by its lane, a small number.
Environment, supervisor and sinks serve one environment each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np

from salus_core.runtime.types import (
    EpisodeResult,
    GroundTruth,
    Monitored,
    Observation,
    PolicyOutput,
    StepRecord,
)
from salus_core.supervision import Decision

if TYPE_CHECKING:
    from salus_core.episode_store.episodes import EpisodeStart


class Environment(Protocol):
    """A world, simulated or real, with what judges it."""

    def reset(self, seed: int) -> Observation:
        """Begin the episode of a seed.

        Raises:
            SeedRefusedError: this seed cannot be started, others can.
        """
        ...

    def step(self, action: np.ndarray) -> Observation:
        """Execute an action (A,) for one control period."""
        ...

    @property
    def start(self) -> EpisodeStart:
        """What the present episode starts from."""
        ...

    @property
    def truth(self) -> GroundTruth | None:
        """Privileged state of the present step; None: nobody knows it."""
        ...

    @property
    def result(self) -> EpisodeResult | None:
        """How the episode ended; None while it runs."""
        ...


class Policy(Protocol):
    """Proposes actions for all lanes."""

    def reset(self, lane: int) -> None:
        """Begin an episode of a lane."""
        ...

    def act(self, observations: Mapping[int, Observation]) -> Mapping[int, PolicyOutput]:
        """One output for each lane that has an observation.

        What a lane gets must not depend on which other lanes are there, to the last bit.
        """
        ...


class Monitor(Protocol):
    """Computes signals and forecasts of all lanes."""

    def reset(self, lane: int) -> None:
        """Begin an episode of a lane."""
        ...

    def observe(
        self,
        observations: Mapping[int, Observation],
        outputs: Mapping[int, PolicyOutput],
        commands: Mapping[int, np.ndarray | None],
    ) -> Mapping[int, Monitored]:
        """Signals and forecast of each lane's step.

        Args:
            observations: by lane.
            outputs: of the policy, by lane.
            commands: executed since the lane's last observation; None at its first.
        """
        ...


class Supervisor(Protocol):
    """Decides what one environment executes."""

    def reset(self) -> None:
        """Begin an episode."""
        ...

    def decide(self, observation: Observation, monitored: Monitored) -> Decision:
        """What is executed instead of, or as, the proposed action."""
        ...


class Sink(Protocol):
    """Takes the episodes of one environment: a store, a figure, a counter."""

    def begin(self, start: EpisodeStart) -> None:
        """An episode begins."""
        ...

    def step(self, record: StepRecord) -> None:
        """A step was decided; it is executed after this."""
        ...

    def end(self, result: EpisodeResult) -> None:
        """The episode came to its end: commit it."""
        ...

    def discard(self, reason: str) -> None:
        """The episode is given up: forget it. May come when none has begun."""
        ...
