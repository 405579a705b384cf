# SPDX-License-Identifier: Apache-2.0
"""Cross-conformal alarm (CV+): every episode is learned from, and calibrated on by the others.

Source: Vovk 2015, "Cross-conformal predictors"; Barber, Candes, Ramdas & Tibshirani 2021,
"Predictive inference with the jackknife+", theorem 4, whose argument holds for any score.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from salus_core.calibration.band import ConformalBand, rank
from salus_core.calibration.reading import numbers

KIND = "cross_conformal"
MAX_MEMBERS = 256
_SMALL = 1e-3


@dataclass(frozen=True)
class CrossConformal:
    """Compares an episode with the successful ones of training, each by a member that is new to it.

    Each of M members learned from all folds of the episodes but its own. The score of a step is
    the share of the successful training episodes whose largest score, given by the member that did
    not learn from them, is below the largest score that the same member gave this episode so far.
    So it never falls within an episode. The alarm is a score above `edge`.

    Attributes:
        alpha: false-alarm rate per successful episode that is asked for; see `bound`.
        scores: (n,) largest risk of each successful training episode.
        member: (n,) int64, index of the member that gave it.
        members: M.
    """

    alpha: float
    scores: np.ndarray
    member: np.ndarray
    members: int

    @property
    def episodes(self) -> int:
        """n, successful episodes that it was made from."""
        return len(self.scores)

    @property
    def bound(self) -> float:
        """Largest probability of an alarm in a successful episode that is guaranteed.

        If the episode is exchangeable with the n successful ones of training. Twice alpha and a
        little more, as the members are not independent of one another; in practice the rate is
        near alpha, and below it where the members agree.
        """
        n, k = self.episodes, self.members
        slack = min(2.0 * (1.0 - 1.0 / k) / (n / k + 1.0), (1.0 - k / n) / (k + 1.0))
        return min(1.0, 2.0 * self.alpha + max(slack, 0.0))

    def score(self, peaks: np.ndarray) -> np.ndarray:
        """The score of steps from the largest risks so far, of all members: (..., M) -> (...).

        Its fraction below one episode is the mean of the members, so that episodes that exceed
        equally many are told apart.
        """
        below = sum(
            np.searchsorted(known, peaks[..., index], side="left")
            for index, known in enumerate(self._of_members)
        )
        rest = np.clip(peaks.mean(axis=-1), _SMALL, 1.0 - _SMALL)
        return ((below + rest) / (self.episodes + 1)).astype(np.float32)

    def edge(self, step: np.ndarray | int) -> np.ndarray:
        """Score above which there is an alarm, of the shape of `step`; infinite: never."""
        index = rank(self.alpha, self.episodes)
        value = index / (self.episodes + 1) if index <= self.episodes else np.inf
        return np.full(np.shape(step), value)

    def alarm(self, score: np.ndarray, step: np.ndarray) -> np.ndarray:
        """Whether scores (N,) at steps (N,) are alarms, (N,) bool."""
        return score > self.edge(step)

    @cached_property
    def _of_members(self) -> list[np.ndarray]:
        return [np.sort(self.scores[self.member == index]) for index in range(self.members)]

    def to_dict(self) -> dict[str, Any]:
        """Content as JSON values."""
        return {
            "kind": KIND,
            "alpha": self.alpha,
            "scores": self.scores.tolist(),
            "member": self.member.tolist(),
            "members": self.members,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> CrossConformal:
        """Reverse `to_dict`.

        Raises:
            ValueError: an entry is missing, of another shape, or not a finite number in its range.
        """
        scores = numbers(content, "scores", (None,))
        members = int(numbers(content, "members", low=2, high=MAX_MEMBERS))
        member = numbers(content, "member", scores.shape, low=0, high=members - 1)
        if (member != np.floor(member)).any():
            raise ValueError("'member' must hold whole numbers")
        return cls(
            alpha=float(numbers(content, "alpha", low=1e-9, high=1.0 - 1e-9)),
            scores=scores,
            member=member.astype(np.int64),
            members=members,
        )


Threshold = ConformalBand | CrossConformal
"""What an alarm is decided by."""


def threshold_from_dict(content: Any) -> Threshold:
    """Read either of them, as `to_dict` wrote it.

    Raises:
        ValueError: an entry is missing, of another shape, or not a finite number in its range.
    """
    crossed = isinstance(content, Mapping) and content.get("kind") == KIND
    return (CrossConformal if crossed else ConformalBand).from_dict(content)


def running_peaks(risks: np.ndarray, start: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Largest risk of each member so far within the episode, (N, M).

    Args:
        risks: (N, M).
        start: (E,) first step of each episode.
        length: (E,) its steps.
    """
    peaks = np.array(risks)
    for begin, steps in zip(start.tolist(), length.tolist(), strict=True):
        rows = slice(begin, begin + steps)
        peaks[rows] = np.maximum.accumulate(risks[rows], axis=0)
    return peaks
