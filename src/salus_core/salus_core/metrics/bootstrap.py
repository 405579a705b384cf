# SPDX-License-Identifier: Apache-2.0
"""Bootstrap over episodes: steps of one episode are not independent, so episodes are drawn."""

from dataclasses import dataclass

import numpy as np

LEVEL = 0.95
"""Coverage of intervals, unless told otherwise."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval.

    Attributes:
        value: on the data as they are; NaN: not defined there.
        low: lower end of the interval; NaN where the replicates do not give one.
        high: upper end.
        replicates: (B,) the figure on each resample; NaN where it is not defined.
    """

    value: float
    low: float
    high: float
    replicates: np.ndarray

    def to_dict(self) -> dict[str, float | None]:
        """Value and interval for JSON; None stands for NaN."""
        return {
            name: None if np.isnan(number) else float(number)
            for name, number in (("value", self.value), ("low", self.low), ("high", self.high))
        }


class EpisodeBootstrap:
    """Resamples of E episodes, drawn with replacement (Efron & Tibshirani 1993, ch. 8).

    Two figures computed with the same object are paired: replicate b of both sees the same
    episodes.

    Args:
        episodes: E.
        replicates: B.
        seed: of the draws.

    Attributes:
        counts: (B, E) float32, how often each episode is in each resample.
    """

    def __init__(self, episodes: int, replicates: int = 1000, seed: int = 0):
        if episodes < 1:
            raise ValueError("there is no episode to resample")
        random = np.random.default_rng(seed)
        draws = random.multinomial(episodes, np.full(episodes, 1.0 / episodes), size=replicates)
        self.counts = draws.astype(np.float32)

    @property
    def episodes(self) -> int:
        """E."""
        return self.counts.shape[1]

    def total(self, values: np.ndarray) -> np.ndarray:
        """Sums of (E, ...) values over each resample: (B, ...) float64.

        Rows that are all zero cost nothing.
        """
        flat = np.asarray(values, np.float32).reshape(self.episodes, -1)
        rows = np.flatnonzero(flat.any(1))
        summed = self.counts[:, rows] @ flat[rows]
        return summed.astype(np.float64).reshape(len(self.counts), *np.shape(values)[1:])

    def ratio(
        self, numerator: np.ndarray, denominator: np.ndarray, level: float = LEVEL
    ) -> Estimate:
        """Ratio of two sums over episodes, with its interval.

        Args:
            numerator: (E,).
            denominator: (E,).
            level: coverage of the interval.
        """
        total = float(np.sum(denominator))
        value = float(np.sum(numerator)) / total if total else float("nan")
        below = self.total(denominator)
        with np.errstate(invalid="ignore", divide="ignore"):
            replicates = np.where(below > 0, self.total(numerator) / below, np.nan)
        return estimate(value, replicates, level)


def estimate(value: float, replicates: np.ndarray, level: float = LEVEL) -> Estimate:
    """Percentile interval of a figure from its replicates.

    The interval is NaN where more than a tenth of the resamples do not define the figure (too few
    episodes hold a failure): the rest would give a wrong one.
    """
    defined = replicates[np.isfinite(replicates)]
    if np.isnan(value) or len(defined) < 0.9 * len(replicates) or not len(defined):
        return Estimate(value, float("nan"), float("nan"), replicates)
    low, high = np.quantile(defined, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Estimate(value, float(low), float(high), replicates)


def difference(first: Estimate, second: Estimate, level: float = LEVEL) -> Estimate:
    """First minus second, paired: both must come from the same EpisodeBootstrap."""
    return estimate(first.value - second.value, first.replicates - second.replicates, level)
