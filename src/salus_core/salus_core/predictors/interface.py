# SPDX-License-Identifier: Apache-2.0
"""What predictors and baselines have in common."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from salus_core.data.step_data import StepData


@runtime_checkable
class Predictor(Protocol):
    """Forecasts which failure comes within which horizon."""

    name: str

    def scores(self, data: StepData) -> np.ndarray:
        """Probabilities of every step, (N, H, K) float32, from the steps up to it only.

        They never fall with the horizon.
        """
        ...


@runtime_checkable
class Forecaster(Predictor, Protocol):
    """A predictor whose alarm may look at something else than failures within a horizon."""

    def forecasts(self, data: StepData) -> tuple[np.ndarray, np.ndarray]:
        """What `scores` gives, and what the alarm looks at: (N,) float32, higher is worse."""
        ...


@runtime_checkable
class Detector(Protocol):
    """Scores how close to a failure the episode is, without type or horizon."""

    name: str

    def scores(self, data: StepData) -> np.ndarray:
        """Risk of every step, (N,) float32, higher is worse, from the steps up to it only."""
        ...


def alarm_score(
    found: np.ndarray, types: Sequence[int], outlook: np.ndarray | None = None
) -> np.ndarray:
    """What the alarm looks at.

    Args:
        found: (..., H, K) probabilities.
        types: codes of the failures that are worth an alarm.
        outlook: (..., K) probabilities of the episode's end.

    Returns:
        (...): the probability that the episode fails by one of the types, or, without an outlook,
        that it does so within the longest horizon.
    """
    return risk(found if outlook is None else outlook[..., None, :], types)


def risk(
    probabilities: np.ndarray, types: Sequence[int] | None = None, horizon: int = -1
) -> np.ndarray:
    """Probability of any of some failures within a horizon.

    An episode has one failure at most, so the types exclude each other and their probabilities add.

    Args:
        probabilities: (..., H, K).
        types: codes of those that count; None: all.
        horizon: its index; -1: the longest.

    Returns:
        (...), at most 1.
    """
    within = probabilities[..., horizon, :]
    if types is not None:
        within = within[..., [code - 1 for code in types]]
    return np.minimum(within.sum(axis=-1), 1.0)
