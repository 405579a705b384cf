# SPDX-License-Identifier: Apache-2.0
"""A false-alarm rate that is kept when the environment changes, as labelled outcomes come in.

Source: Gibbs & Candes 2021, "Adaptive conformal inference under distribution shift", eq. 2. The
warning is a test martingale for a Bernoulli rate (Waudby-Smith & Ramdas 2024, sec. 4).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from salus_core.calibration.cross_conformal import Threshold
from salus_core.calibration.reading import entry, numbers

RECENT = 50
"""Successful episodes of which the rate is told."""
WARNING = 20.0
"""Wealth at which the promise is said to be broken; by chance in at most one of 20 cases."""
_STAKES = np.array([0.5, 1.0, 2.0, 4.0, 8.0])
_MOST = 10_000_000


class AdaptiveThreshold:
    """Moves the rate that a threshold is made for, by the false alarms that were seen.

    After each successful episode `alpha` rises by step * promised, and falls by `step` if there
    was an alarm in it; at or below 0 there is no alarm until it has risen again. So of T labelled
    successes at most promised * T + (alpha + step) / step have an alarm, whatever the environment
    does, where alpha is at most `largest`. Failed episodes change nothing.

    Args:
        threshold: of the checkpoint; its alpha is what is promised.
        step: of alpha; None: the promised rate, so that at most 3 alarms in all exceed it.
        largest: alpha is kept at or below; None: twice the promised rate.

    Attributes:
        alpha: in use now.
        successes: labelled episodes that succeeded.
        false_alarms: those of them with an alarm.
        frozen: outcomes are counted, but alpha stays.
    """

    def __init__(
        self, threshold: Threshold, step: float | None = None, largest: float | None = None
    ):
        self._base = threshold
        self.promised = threshold.alpha
        self.step = self.promised if step is None else step
        self.largest = min(2.0 * self.promised, 1.0) if largest is None else largest
        if not (0.0 < self.step <= 1.0 and self.promised <= self.largest <= 1.0):
            raise ValueError(
                f"step must lie between 0 and 1 and largest between {self.promised:g} and 1, got "
                f"{self.step:g} and {self.largest:g}"
            )
        self.alpha = self.promised
        self.successes = self.false_alarms = 0
        self.frozen = False
        self._recent: deque[bool] = deque(maxlen=RECENT)
        self._wealth = np.ones(len(_STAKES))
        self._warned = False

    @property
    def threshold(self) -> Threshold:
        """The threshold for the rate that is in use now."""
        return replace(self._base, alpha=min(max(self.alpha, 1e-9), 1.0 - 1e-9))

    @property
    def silent(self) -> bool:
        """There can be no alarm now."""
        return not np.isfinite(self.threshold.edge(0))

    @property
    def recent_rate(self) -> float:
        """Share of the last RECENT labelled successes with an alarm; NaN before the first."""
        return sum(self._recent) / len(self._recent) if self._recent else math.nan

    @property
    def warns(self) -> bool:
        """The threshold of the checkpoint alone would not keep its promise here."""
        return self._warned

    def success(self, alarmed: bool, unadapted: bool) -> None:
        """Count a successful episode without intervention.

        Args:
            alarmed: there was an alarm in it.
            unadapted: there would have been one with the threshold of the checkpoint.
        """
        self.successes += 1
        self.false_alarms += alarmed
        self._recent.append(alarmed)
        excess = float(unadapted) - self.promised
        stakes = np.minimum(_STAKES, 0.9 / self.promised)
        self._wealth = np.minimum(self._wealth * (1.0 + stakes * excess), 1e12)
        self._warned = self._warned or bool(self._wealth.mean() >= WARNING)
        if not self.frozen:
            moved = self.alpha + self.step * (self.promised - float(alarmed))
            self.alpha = min(moved, self.largest)

    def to_dict(self) -> dict[str, Any]:
        """What a restart must know, as JSON values."""
        return {
            "promised": self.promised,
            "alpha": self.alpha,
            "successes": self.successes,
            "false_alarms": self.false_alarms,
            "recent": [int(one) for one in self._recent],
            "wealth": self._wealth.tolist(),
            "warned": self._warned,
        }

    def restore(self, content: Any) -> None:
        """Go on from `to_dict`.

        Raises:
            ValueError: an entry is missing or out of its range, or another rate was promised.
        """
        if not isinstance(content, Mapping):
            raise ValueError("it holds no mapping")
        promised = float(numbers(content, "promised", low=0.0, high=1.0))
        if not math.isclose(promised, self.promised, rel_tol=1e-9):
            raise ValueError(f"it is for a false-alarm rate of {promised:g}, not {self.promised:g}")
        alpha = float(numbers(content, "alpha", low=-1.0, high=1.0))
        successes = int(numbers(content, "successes", low=0, high=_MOST))
        false_alarms = int(numbers(content, "false_alarms", low=0, high=successes))
        recent = entry(content, "recent")
        if not isinstance(recent, list) or len(recent) > RECENT or not set(recent) <= {0, 1}:
            raise ValueError(f"'recent' must be a list of up to {RECENT} zeros and ones")
        wealth = numbers(content, "wealth", (len(_STAKES),), low=0.0, high=1e12)
        warned = entry(content, "warned")
        if not isinstance(warned, bool):
            raise ValueError("'warned' must be true or false")
        self.alpha = min(alpha, self.largest)
        self.successes, self.false_alarms = successes, false_alarms
        self._recent = deque((bool(one) for one in recent), maxlen=RECENT)
        self._wealth, self._warned = wealth, warned
