# SPDX-License-Identifier: Apache-2.0
"""Functional conformal band: an alarm whose false-alarm rate per successful episode is bounded.

Source: Diquigiovanni, Fontana & Vantini 2021 (conformal bands for functions, with modulation), as
used one-sidedly by FAIL-Detect (2025) and SAFE (2025), with the finite-sample rank of split
conformal prediction (Vovk et al. 2005, sec. 4.2), without which the guarantee does not hold.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from salus_core.calibration.reading import choice, numbers
from salus_core.curves import pad_curves

FLOOR = 0.1
"""Least modulation, relative to its mean: where no curve varies, a ripple is no alarm."""

SMOOTHING = 5.0
"""Standard deviation of the smoothing of mean and modulation [steps]. Episodes go through the same
phases at different times, and the largest of a few curves is rough; whatever is made of the first
half alone keeps the guarantee."""

SHAPES = ("functional", "constant")


@dataclass(frozen=True)
class ConformalBand:
    """Upper edge mean + quantile * modulation; a score above it is an alarm.

    If a further successful episode is exchangeable with those of the calibration and is no longer
    than `steps`, the probability of any alarm in it is at most `alpha`, over the draw of both.

    Attributes:
        alpha: bound on the false-alarm rate per successful episode.
        mean: (T,).
        modulation: (T,), positive.
        deviations: (n,) ascending, largest (score - mean) / modulation of each episode that the
            quantile was taken from.
        episodes: successful episodes that all of it was made from.
        shape: "functional", or "constant": mean 0, modulation 1.
    """

    alpha: float
    mean: np.ndarray
    modulation: np.ndarray
    deviations: np.ndarray
    episodes: int
    shape: str = "functional"

    @property
    def steps(self) -> int:
        """T, the longest episode that the guarantee covers."""
        return len(self.mean)

    @property
    def quantile(self) -> float:
        """The ceil((n + 1)(1 - alpha))-th smallest deviation."""
        index = rank(self.alpha, len(self.deviations))
        if index > len(self.deviations):
            return math.inf  # so few episodes cannot bound so small a rate
        return float(self.deviations[index - 1])

    def edge(self, step: np.ndarray | int) -> np.ndarray:
        """Upper edge at steps, of the same shape; after the last step it stays as it is.

        Args:
            step: within the episode, from 0.
        """
        index = np.minimum(step, self.steps - 1)
        return self.mean[index] + self.quantile * self.modulation[index]

    def alarm(self, score: np.ndarray, step: np.ndarray) -> np.ndarray:
        """Whether scores (N,) at steps (N,) lie above the edge, (N,) bool."""
        return score > self.edge(step)

    def to_dict(self) -> dict[str, Any]:
        """Content as JSON values."""
        return {
            "alpha": self.alpha,
            "mean": self.mean.tolist(),
            "modulation": self.modulation.tolist(),
            "deviations": self.deviations.tolist(),
            "episodes": self.episodes,
            "shape": self.shape,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "ConformalBand":
        """Reverse `to_dict`.

        Raises:
            ValueError: an entry is missing, of another shape, or not a finite number in its range.
        """
        mean = numbers(content, "mean", (None,))
        deviations = numbers(content, "deviations", (None,))
        if (np.diff(deviations) < 0).any():
            raise ValueError("'deviations' must be ascending")
        return cls(
            alpha=float(numbers(content, "alpha", low=1e-9, high=1.0 - 1e-9)),
            mean=mean,
            modulation=numbers(content, "modulation", mean.shape, low=1e-300),
            deviations=deviations,
            episodes=int(numbers(content, "episodes", low=1, high=1e9)),
            shape=choice(content, "shape", SHAPES),
        )

    @classmethod
    def fit(
        cls,
        score: np.ndarray,
        start: np.ndarray,
        length: np.ndarray,
        alpha: float,
        steps: int | None = None,
        shape: str = "functional",
        seed: int = 0,
    ) -> "ConformalBand":
        """Fit on successful episodes that nothing else was fitted on.

        Args:
            score: (N,) finite.
            start: (E,) first step of each successful episode; other steps are not read.
            length: (E,) its steps.
            alpha: bound on the false-alarm rate per episode, in (0, 1).
            steps: of the longest episode there can be (its limit); None: the longest of these.
            shape: "functional": one half of the episodes gives mean and modulation, the other one
                the quantile; "constant": all give the quantile of their largest score.
            seed: of the halves.

        Raises:
            ValueError: too few episodes for so small an alpha, or a score is not finite.
        """
        if not 0.0 < alpha < 1.0:
            raise ValueError(f"alpha must lie between 0 and 1: {alpha}")
        if shape not in SHAPES:
            raise ValueError(f"unknown shape of band '{shape}': use one of {', '.join(SHAPES)}")
        needed = fewest_episodes(alpha, shape)
        if len(start) < needed:
            raise ValueError(
                f"a false-alarm rate of {alpha} needs {needed} successful calibration episodes, "
                f"there are {len(start)}: collect more or allow a larger rate"
            )
        longest = int(np.max(length))
        curves = pad_curves(np.asarray(score, float), start, length, max(longest, steps or 0))
        if not np.isfinite(curves).all():
            raise ValueError("a score of a calibration episode is not finite")
        if shape == "constant":
            mean, modulation = np.zeros(curves.shape[1]), np.ones(curves.shape[1])
            second = curves
        else:
            order = np.random.default_rng(seed).permutation(len(curves))
            first, second = curves[order[::2]], curves[order[1::2]]
            mean = _smooth(first.mean(axis=0))
            modulation = _modulation(first - mean, alpha)
        deviations = np.sort(((second - mean) / modulation).max(axis=1))
        return cls(alpha, mean, modulation, deviations, len(curves), shape)


def _modulation(deviation: np.ndarray, alpha: float) -> np.ndarray:
    """Largest deviation at each step among the curves that are not extreme: (n, T) -> (T,)."""
    largest = np.abs(deviation).max(axis=1)
    index = min(rank(alpha, len(largest)), len(largest))
    usual = largest <= np.sort(largest)[index - 1]
    modulation = _smooth(np.abs(deviation[usual]).max(axis=0))
    floor = FLOOR * modulation.mean()
    return np.maximum(modulation, floor) if floor > 0.0 else np.ones_like(modulation)


def _smooth(curve: np.ndarray) -> np.ndarray:
    """Gaussian mean over steps; at the ends over the steps that there are."""
    distance = np.arange(len(curve))[:, None] - np.arange(len(curve))
    kernel = np.exp(-0.5 * (distance / SMOOTHING) ** 2)
    return kernel @ curve / kernel.sum(axis=1)


def rank(alpha: float, n: int) -> int:
    """Finite-sample rank ceil((n + 1)(1 - alpha)) of a split conformal quantile."""
    return math.ceil((n + 1) * (1.0 - alpha) - 1e-9)


def fewest_episodes(alpha: float, shape: str = "functional") -> int:
    """Successful episodes without which a band for alpha cannot be made."""
    half = math.ceil(1.0 / alpha - 1e-9) - 1
    return max(2, 2 * half if shape == "functional" else half)


def smallest_alpha(episodes: int, shape: str = "functional") -> float | None:
    """Smallest alpha, to 0.001, for which so many successful episodes make a band; None: none."""
    half = episodes // 2 if shape == "functional" else episodes
    return math.ceil(1000.0 / (half + 1)) / 1000.0 if episodes >= 2 else None


@dataclass(frozen=True)
class FalseAlarmRate:
    """False alarms on held-out successful episodes against what the band promises.

    Attributes:
        alpha: nominal.
        alarms: episodes with an alarm.
        episodes: held-out successful episodes.
        low: of the rate's own interval (Clopper & Pearson 1934).
        high: the same.
        expected_low: least rate that the nominal alpha lets expect on so many held-out episodes,
            given the size of the calibration set; the count is beta-binomial (Vovk 2012, prop. 2a).
        expected_high: largest such rate.
    """

    alpha: float
    alarms: int
    episodes: int
    low: float
    high: float
    expected_low: float
    expected_high: float

    @property
    def rate(self) -> float:
        """Share of episodes with an alarm."""
        return self.alarms / self.episodes

    @property
    def as_promised(self) -> bool:
        """Whether the rate lies within what the nominal lets expect, or below."""
        return self.rate <= self.expected_high


def false_alarm_rate(
    band: ConformalBand, alarmed: np.ndarray, level: float = 0.95
) -> FalseAlarmRate:
    """Judge a band on held-out successful episodes.

    Args:
        band: whose alarms they are.
        alarmed: (M,) bool, whether each episode has an alarm.
        level: coverage of both intervals.
    """
    from scipy.stats import beta, betabinom  # slow to import, and the live node needs none of it

    alarms, episodes = int(np.sum(alarmed)), len(alarmed)
    if not episodes:
        raise ValueError("there is no held-out successful episode")
    tail = (1.0 - level) / 2.0
    n = len(band.deviations)
    index = rank(band.alpha, n)
    expected = betabinom(episodes, n + 1 - index, index)
    return FalseAlarmRate(
        alpha=band.alpha,
        alarms=alarms,
        episodes=episodes,
        low=float(beta.ppf(tail, alarms, episodes - alarms + 1)) if alarms else 0.0,
        high=float(beta.ppf(1 - tail, alarms + 1, episodes - alarms)) if alarms < episodes else 1.0,
        expected_low=float(expected.ppf(tail)) / episodes,
        expected_high=float(expected.ppf(1.0 - tail)) / episodes,
    )
