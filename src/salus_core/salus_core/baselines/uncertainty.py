# SPDX-License-Identifier: Apache-2.0
"""Largest uncertainty so far, over the episode or over the last steps."""

from collections.abc import Callable

import numpy as np

from salus_core.baselines.base import Baseline, carry, cumulate
from salus_core.data import StepData, make_windows
from salus_core.signals import Signal

SOURCES: dict[str, Callable[[StepData], np.ndarray]] = {
    "entropy": lambda data: data.signals[:, Signal.PREDICTIVE_ENTROPY],
    "epistemic": lambda data: data.signals[:, Signal.EPISTEMIC_UNCERTAINTY],
    "action_variance": lambda data: np.square(data.action_std / data.action_scale).mean(axis=1),
}
"""Uncertainty of each step, (N,); NaN where it is not known."""


class MaxUncertainty(Baseline):
    """Running maximum of one uncertainty: spikes are short, so a mean would bury them.

    Args:
        source: a key of SOURCES.
        window: of the last steps; None: since the episode's start.
    """

    def __init__(self, source: str, window: int | None = None):
        self._source = SOURCES[source]
        self._window = window
        self._least = 0.0
        self.name = f"max_{source}" if window is None else f"max_{source}_window"

    def fit(self, train: StepData) -> "MaxUncertainty":
        """Take the least value of training for steps before the first one that is known."""
        values = self._source(train)
        known = values[np.isfinite(values)]
        self._least = float(known.min()) if len(known) else 0.0
        return self

    def scores(self, data: StepData) -> np.ndarray:
        """Largest uncertainty of the steps up to this one."""
        values = carry(self._source(data), data, self._least)
        if self._window is None:
            return cumulate(values, data, np.maximum)
        windows = make_windows(data, self._window)
        return values[windows.rows].max(axis=1)
