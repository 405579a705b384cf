# SPDX-License-Identifier: Apache-2.0
"""Figures of probabilities: Brier score, expected calibration error, reliability."""

from dataclasses import dataclass

import numpy as np

from salus_core.metrics.bootstrap import LEVEL, EpisodeBootstrap, Estimate, estimate

CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Reliability:
    """Bins of forecasts, for a diagram.

    Attributes:
        forecast: (M,) mean probability in each bin; NaN where it is empty.
        observed: (M,) share of positives in each bin; NaN where it is empty.
        count: (M,) steps in each bin.
    """

    forecast: np.ndarray
    observed: np.ndarray
    count: np.ndarray


def brier(
    probability: np.ndarray,
    positive: np.ndarray,
    episode: np.ndarray,
    bootstrap: EpisodeBootstrap,
    level: float = LEVEL,
) -> Estimate:
    """Mean squared error of the probability (Brier 1950).

    Args:
        probability: (N,) in [0, 1].
        positive: (N,) bool.
        episode: (N,) int, which of the bootstrap's episodes each belongs to.
        bootstrap: over episodes.
        level: coverage of the interval.
    """
    square = (probability - positive) ** 2
    sums = np.bincount(episode, weights=square, minlength=bootstrap.episodes)
    return bootstrap.ratio(sums, np.bincount(episode, minlength=bootstrap.episodes), level)


def calibration_error(
    probability: np.ndarray,
    positive: np.ndarray,
    episode: np.ndarray,
    bootstrap: EpisodeBootstrap,
    equal_mass: bool = False,
    level: float = LEVEL,
) -> Estimate:
    """Expected calibration error: mean over steps of |mean forecast - share of positives| in bins.

    Source: Guo et al. 2017, eq. 3 (15 bins of equal width); with `equal_mass` the bins hold equally
    many steps (Nixon et al. 2019), which looks more closely at the many small probabilities of a
    rare failure. A resample's error is biased upwards by its own noise, so the interval lies
    somewhat high.

    Args:
        probability: (N,) in [0, 1].
        positive: (N,) bool.
        episode: (N,) int, which of the bootstrap's episodes each belongs to.
        bootstrap: over episodes.
        equal_mass: bins by quantiles.
        level: coverage of the interval.
    """
    table = np.zeros((bootstrap.episodes, CALIBRATION_BINS))
    index = _bins(probability, equal_mass)
    # Within a bin, |sum of forecasts - sum of positives| is all that is needed.
    np.add.at(table, (episode, index), probability - positive)
    steps = np.bincount(episode, minlength=bootstrap.episodes)
    value = float(np.abs(table.sum(0)).sum() / steps.sum()) if steps.sum() else float("nan")
    total = bootstrap.total(steps)
    with np.errstate(invalid="ignore", divide="ignore"):
        replicates = np.abs(bootstrap.total(table)).sum(1) / total
    return estimate(value, replicates, level)


def reliability(
    probability: np.ndarray, positive: np.ndarray, equal_mass: bool = False
) -> Reliability:
    """Bins of a reliability diagram (Guo et al. 2017): forecast against what happened.

    Args:
        probability: (N,) in [0, 1].
        positive: (N,) bool.
        equal_mass: bins by quantiles instead of equal width.
    """
    index = _bins(probability, equal_mass)
    count = np.bincount(index, minlength=CALIBRATION_BINS)
    sums = [
        np.bincount(index, weights=values, minlength=CALIBRATION_BINS)
        for values in (probability, positive.astype(float))
    ]
    with np.errstate(invalid="ignore", divide="ignore"):
        return Reliability(sums[0] / count, sums[1] / count, count)


def _bins(probability: np.ndarray, equal_mass: bool) -> np.ndarray:
    if np.any((probability < 0.0) | (probability > 1.0)) or np.isnan(probability).any():
        raise ValueError("a probability lies outside 0 to 1")
    inner = np.linspace(0.0, 1.0, CALIBRATION_BINS + 1)[1:-1]
    if equal_mass and len(probability):
        inner = np.quantile(probability, inner)
    return np.searchsorted(inner, probability, side="right")
