# SPDX-License-Identifier: Apache-2.0
"""Warns when live signals leave the distribution that a predictor was trained on.

Two answers. At once: the share of recent values outside the range of training, a rule of thumb. And
after each episode, with a guarantee: a conformal test martingale per signal (Vovk, Gammerman &
Shafer 2005, ch. 7; the Simple Jumper of Vovk et al. 2021, "Retrain or not retrain", sec. 3). While
episodes are exchangeable with those of the reference, the probability that it ever warns is at most
`false_warning_rate`, however long it runs (Ville's inequality, and Bonferroni over signals).
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from salus_core.calibration.reading import numbers, strings

SLOPES = np.array([-1.8, 0.0, 1.8])
"""Bets on small p-values, on none, on large ones; beyond 2 a stake could turn negative."""

JUMP = 0.01
"""Share of the stake that is dealt out anew over the slopes after each episode."""

RANGE = (0.001, 0.999)
"""Quantiles of the training steps within which a signal is usual."""

RECENT_STEPS = 30

WEALTH_LIMIT = 1e12


@dataclass(frozen=True)
class DriftReference:
    """What signals are like where the predictor was trained.

    Attributes:
        names: of the S signals.
        low: (S,) lower end of the usual range.
        high: (S,) upper end.
        means: (E, S) mean of each signal over each episode; NaN where it was never valid.
        false_warning_rate: bound on the probability of ever warning without a drift.
    """

    names: tuple[str, ...]
    low: np.ndarray
    high: np.ndarray
    means: np.ndarray
    false_warning_rate: float = 0.01

    @classmethod
    def fit(
        cls,
        signals: np.ndarray,
        episode: np.ndarray,
        names: Sequence[str],
        false_warning_rate: float = 0.01,
    ) -> "DriftReference":
        """Fit on the episodes of training, or better of calibration, whose seeds are new.

        Args:
            signals: (N, S); NaN where not valid.
            episode: (N,) int, rising.
            names: of the signals.
            false_warning_rate: bound on the probability of ever warning without a drift.

        Raises:
            ValueError: `names` does not fit, or the rate is not between 0 and 1.
        """
        if len(names) != signals.shape[1]:
            raise ValueError(f"{len(names)} names for {signals.shape[1]} signals")
        if not 0.0 < false_warning_rate < 1.0:
            raise ValueError(f"false_warning_rate must lie between 0 and 1: {false_warning_rate}")
        low, high = np.full((2, len(names)), np.nan)
        given = np.isfinite(signals)
        for index in np.flatnonzero(given.any(axis=0)):
            low[index], high[index] = np.quantile(signals[given[:, index], index], RANGE)
        _, inverse = np.unique(episode, return_inverse=True)
        return cls(tuple(names), low, high, _means(signals, inverse), float(false_warning_rate))

    def to_dict(self) -> dict[str, Any]:
        """Content as JSON values; None stands for NaN."""
        return {
            "names": list(self.names),
            "low": _without_nan(self.low),
            "high": _without_nan(self.high),
            "means": [_without_nan(row) for row in self.means],
            "false_warning_rate": self.false_warning_rate,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "DriftReference":
        """Reverse `to_dict`.

        Raises:
            ValueError: an entry is missing, of another shape, or not a finite number in its range.
        """
        names = strings(content, "names")
        size = len(names)
        return cls(
            names=names,
            low=numbers(content, "low", (size,), missing=True),
            high=numbers(content, "high", (size,), missing=True),
            means=numbers(content, "means", (None, size), missing=True),
            false_warning_rate=float(
                numbers(content, "false_warning_rate", low=1e-9, high=1.0 - 1e-9)
            ),
        )


class DriftMonitor:
    """Watches live signals. Call `add` at each step and `end_episode` after the last one.

    Args:
        reference: what is usual.
        seed: of the random numbers that break ties between equal means.

    Attributes:
        episodes: that have ended.
    """

    def __init__(self, reference: DriftReference, seed: int = 0):
        self.reference = reference
        self.episodes = 0
        self._random = np.random.default_rng(seed)
        self._bags = [
            np.sort(column[np.isfinite(column)]) for column in reference.means.T.astype(float)
        ]
        self._stakes = np.full((len(reference.names), len(SLOPES)), 1.0 / len(SLOPES))
        self._highest = np.ones(len(reference.names))
        self._outside: deque[float] = deque(maxlen=RECENT_STEPS)
        self._sum = np.zeros(len(reference.names))
        self._count = np.zeros(len(reference.names), int)

    @property
    def evidence(self) -> np.ndarray:
        """(S,) martingales against "nothing has changed"."""
        return self._stakes.sum(axis=1)

    @property
    def outside(self) -> float:
        """Share of the values of the last steps that lie outside the usual range; 0 at first."""
        return float(np.mean(self._outside)) if self._outside else 0.0

    @property
    def warning(self) -> bool:
        """Some signal has drifted, at the guaranteed rate of false warnings. It stays."""
        return bool(self.drifted)

    @property
    def drifted(self) -> tuple[str, ...]:
        """Names of the signals that have."""
        names = self.reference.names
        threshold = len(names) / self.reference.false_warning_rate
        return tuple(
            name for name, highest in zip(names, self._highest, strict=True) if highest >= threshold
        )

    def add(self, signals: np.ndarray) -> None:
        """Take in the signals of one step, (S,); NaN where not valid."""
        given = np.isfinite(signals) & np.isfinite(self.reference.low)
        if given.any():
            unusual = (signals < self.reference.low) | (signals > self.reference.high)
            self._outside.append(float(unusual[given].mean()))
        self._sum[given] += signals[given]
        self._count[given] += 1

    def end_episode(self) -> None:
        """Test the episode that has ended, and begin the next one."""
        for index in np.flatnonzero(self._count):
            mean = self._sum[index] / self._count[index]
            self._bet(index, self._p_value(index, mean))
        self.episodes += bool(self._count.any())
        self._sum[:], self._count[:] = 0.0, 0

    def _p_value(self, index: int, mean: float) -> float:
        """Smoothed conformal p-value among all episodes so far, which from now on hold it."""
        bag = self._bags[index]
        low = int(np.searchsorted(bag, mean, side="left"))
        high = int(np.searchsorted(bag, mean, side="right"))
        self._bags[index] = np.insert(bag, high, mean)
        greater, equal = len(bag) - high, high - low + 1
        return (greater + self._random.uniform() * equal) / (len(bag) + 1)

    def _bet(self, index: int, p_value: float) -> None:
        stakes = self._stakes[index]
        stakes = (1.0 - JUMP) * stakes + JUMP * stakes.mean()
        stakes = stakes * (1.0 + SLOPES * (p_value - 0.5))
        if stakes.sum() > WEALTH_LIMIT:
            stakes *= WEALTH_LIMIT / stakes.sum()
        self._stakes[index] = stakes
        self._highest[index] = max(self._highest[index], stakes.sum())


def _means(signals: np.ndarray, episode: np.ndarray) -> np.ndarray:
    """Mean of each signal over each episode, (E, S); NaN where it was never valid."""
    number = int(episode.max(initial=-1)) + 1
    given = np.isfinite(signals)
    filled = np.where(given, signals, 0.0).astype(float)
    totals, counts = (
        np.stack([np.bincount(episode, column, number) for column in values.T], axis=1)
        for values in (filled, given.astype(float))
    )
    return np.divide(totals, counts, out=np.full_like(totals, np.nan), where=counts > 0)


def _without_nan(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]
