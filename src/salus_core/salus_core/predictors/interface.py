"""What predictors and baselines have in common."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from salus_core.data.step_data import StepData
from salus_core.failures import FAILURE_TYPES, FailureType

ALARM_TYPES: tuple[FailureType, ...] = (
    FailureType.COLLISION,
    FailureType.DROP,
    FailureType.MISS,
)
"""Types that the alarm score adds up: a timeout is nearly a clock and not worth an alarm."""


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
class Detector(Protocol):
    """Scores how close to a failure the episode is, without type or horizon."""

    name: str

    def scores(self, data: StepData) -> np.ndarray:
        """Risk of every step, (N,) float32, higher is worse, from the steps up to it only."""
        ...


def risk(
    probabilities: np.ndarray, types: Sequence[FailureType] = FAILURE_TYPES, horizon: int = -1
) -> np.ndarray:
    """Probability of any of some failures within a horizon.

    An episode has one failure at most, so the types exclude each other and their probabilities add.

    Args:
        probabilities: (..., H, K).
        types: that count.
        horizon: its index; -1: the longest.

    Returns:
        (...), at most 1.
    """
    columns = [FAILURE_TYPES.index(failure) for failure in types]
    return np.minimum(probabilities[..., horizon, columns].sum(axis=-1), 1.0)
