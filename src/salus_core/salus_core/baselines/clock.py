# SPDX-License-Identifier: Apache-2.0
"""Baselines that see nothing of the robot: the step number, and chance."""

import numpy as np

from salus_core.baselines.base import Baseline
from salus_core.data import StepData

DEFAULT_MAX_STEPS = 200
"""Steps of an episode whose limit is not recorded."""


class Clock(Baseline):
    """Step number over the episode's limit: whoever knows only this must not look good."""

    name = "clock"

    def scores(self, data: StepData) -> np.ndarray:
        """Rise from 0 to 1 with the step."""
        limit = np.where(data.episodes.max_steps > 0, data.episodes.max_steps, DEFAULT_MAX_STEPS)
        return (data.step / limit[data.episode]).astype(np.float32)


class FittedClock(Baseline):
    """How often training episodes failed soon after this step number, timeouts left out.

    The best that can be done with the step number alone: it also finds failures that cluster at a
    certain step early in the episode, which a clock that only rises cannot.

    Args:
        width: standard deviation of the smoothing over steps.
    """

    name = "fitted_clock"

    def __init__(self, width: float = 3.0):
        self._width = width
        self._rate = np.zeros(1)

    def fit(self, train: StepData) -> "FittedClock":
        """Count labels by step number."""
        types = [code - 1 for code in train.taxonomy.main]
        valid = train.label_valid[:, -1]
        positive = train.labels[valid, -1][:, types].any(axis=1)
        step = train.step[valid]
        length = int(step.max(initial=0)) + 1
        distance = np.arange(length)[:, None] - np.arange(length)
        kernel = np.exp(-0.5 * (distance / self._width) ** 2)
        hits, steps = (
            kernel @ np.bincount(step[chosen], minlength=length)
            for chosen in (positive, np.ones(len(step), bool))
        )
        self._rate = hits / np.maximum(steps, 1e-9)
        return self

    def scores(self, data: StepData) -> np.ndarray:
        """Rate at the step; beyond the longest training episode that of its last step."""
        return self._rate[np.minimum(data.step, len(self._rate) - 1)].astype(np.float32)


class Chance(Baseline):
    """Random numbers: what every figure is without information.

    Args:
        seed: of the numbers.
    """

    name = "random"

    def __init__(self, seed: int = 0):
        self._seed = seed

    def scores(self, data: StepData) -> np.ndarray:
        """Independent and uniform."""
        return np.random.default_rng(self._seed).uniform(size=len(data)).astype(np.float32)
