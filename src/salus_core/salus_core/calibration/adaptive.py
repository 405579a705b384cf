"""Adaptive conformal inference: the band follows a drift of the false-alarm rate, online."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from salus_core.calibration.band import ConformalBand


@dataclass
class AdaptiveBand:
    """A band whose alpha is moved after each successful episode (Gibbs & Candes 2021, eq. 2).

    alpha_(n+1) = alpha_n + rate * (alpha - alarm_n). Guarantee (their prop. 4.1), for any sequence
    of successful episodes, exchangeable or not: over the first N of them the share with an alarm
    differs from alpha by at most (max(alpha_1, 1 - alpha_1) + rate) / (rate * N). It is about the
    long run only, and about episodes known to have succeeded.

    Attributes:
        band: fitted beforehand.
        rate: step size, above 0; larger follows faster and wavers more.
        alpha_now: present alpha_n; at 0 or below nothing is an alarm, at 1 or above all is.
        episodes: successful episodes seen, N.
        alarms: of them, with an alarm.
    """

    band: ConformalBand
    rate: float = 0.02
    alpha_now: float = float("nan")
    episodes: int = 0
    alarms: int = 0

    def __post_init__(self) -> None:
        if not self.rate > 0.0:
            raise ValueError(f"rate must be positive: {self.rate}")
        if np.isnan(self.alpha_now):
            self.alpha_now = self.band.alpha

    @property
    def alpha(self) -> float:
        """The false-alarm rate that is aimed at."""
        return self.band.alpha

    @property
    def steps(self) -> int:
        """Steps of the longest episode that the band covers."""
        return self.band.steps

    def edge(self, step: np.ndarray | int) -> np.ndarray:
        """Upper edge at steps; it does not change within an episode."""
        return self.band.edge(step, alpha=self.alpha_now)

    def update(self, alarmed: bool) -> None:
        """Learn from an episode that has succeeded.

        Args:
            alarmed: it had an alarm.
        """
        self.alpha_now += self.rate * (self.alpha - float(alarmed))
        self.episodes += 1
        self.alarms += bool(alarmed)

    @property
    def bound(self) -> float:
        """Largest distance between the share of alarms so far and alpha that is possible."""
        if not self.episodes:
            return 1.0
        return (max(self.alpha, 1.0 - self.alpha) + self.rate) / (self.rate * self.episodes)

    def to_dict(self) -> dict[str, Any]:
        """Content as JSON values."""
        return {
            "band": self.band.to_dict(),
            "rate": self.rate,
            "alpha_now": self.alpha_now,
            "episodes": self.episodes,
            "alarms": self.alarms,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "AdaptiveBand":
        """Reverse `to_dict`."""
        return cls(**{**content, "band": ConformalBand.from_dict(content["band"])})
