# SPDX-License-Identifier: Apache-2.0
"""Keeps the alarm's promise as labelled outcomes come in, over restarts; free of nodes."""

import json
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from salus_core.calibration import AdaptiveThreshold
from salus_core.calibration.adaptive import RECENT
from salus_core.failures import Outcome
from salus_core.paths import PathError, read_bounded
from salus_core.predictors.checkpoint import write_json
from salus_core.predictors.model import NeuralPredictor
from salus_core.runtime.types import Forecast

MODES = ("never", "outcomes", "frozen")
_EPISODES = 16
_LARGEST_FILE = 2**20


class AdaptationError(ValueError):
    """What was kept cannot be gone on from; the message names the file."""


@dataclass
class _Seen:
    alarmed: bool = False
    unadapted: bool = False
    intervened: bool = False
    told: bool = False


class Adaptation:
    """Watches alarms and outcomes, and moves the threshold of a predictor.

    Args:
        predictor: with a threshold; gets the adapted one.
        mode: one of MODES; "never": outcomes change nothing and nothing is kept.
        folder: where a file of the checkpoint's own keeps what a restart must know.

    Raises:
        AdaptationError: the file is there and cannot be used.
    """

    def __init__(self, predictor: NeuralPredictor, mode: str, folder: Path):
        assert predictor.band is not None
        self._predictor, self._unadapted = predictor, predictor.band
        self.adaptive = AdaptiveThreshold(predictor.band)
        self.path = folder / f"{predictor.hash[:16]}.json"
        self._episodes: OrderedDict[int, _Seen] = OrderedDict()
        self._restored = False
        self.mode(mode)

    def _restore(self) -> None:
        try:
            self.adaptive.restore(json.loads(read_bounded(self.path, _LARGEST_FILE)))
        except (PathError, ValueError, RecursionError) as error:
            raise AdaptationError(
                f"{self.path}, which keeps the adapted alarm rate, cannot be used: {error}; move "
                "it away to begin anew, or set the parameter adapt to never"
            ) from error

    def mode(self, mode: str) -> None:
        """Follow the parameter `adapt`.

        Raises:
            AdaptationError: the kept file is read for the first time, and cannot be used.
        """
        self._on = mode != "never"
        if self._on and not self._restored:
            if self.path.exists():
                self._restore()
            self._restored = True
        self.adaptive.frozen = mode == "frozen"
        self._predictor.band = self.adaptive.threshold if self._on else self._unadapted

    def forecast(self, episode: int, step: int, forecast: Forecast) -> None:
        """Note a forecast with numbers of the episode at a position."""
        seen = self._seen(episode)
        seen.alarmed |= forecast.alarm
        seen.unadapted |= forecast.score > float(self._unadapted.edge(step))

    def intervened(self, episode: int) -> None:
        """The supervisor changed what the policy did: how it ends says nothing of the alarm."""
        self._seen(episode).intervened = True

    def ended(self, episode: int, outcome: int) -> str:
        """Count the outcome of an episode that was forecast, once.

        Returns:
            What a person should be told; empty: nothing.
        """
        seen = self._episodes.get(episode)
        if seen is None or seen.told or outcome == Outcome.RUNNING:
            return ""
        seen.told = True
        if not self._on or seen.intervened or outcome != Outcome.SUCCEEDED:
            return ""
        before = self.adaptive.warns
        self.adaptive.success(seen.alarmed, seen.unadapted)
        self._predictor.band = self.adaptive.threshold
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.path, self.adaptive.to_dict())
        return self.warning() if self.adaptive.warns and not before else ""

    def warning(self) -> str:
        """What drift of the alarm means; empty: there is none."""
        if not self.adaptive.warns:
            return ""
        return (
            "the alarm's threshold does not keep its promise here: its false-alarm rate of "
            f"{self.adaptive.promised:g} does not fit these episodes; make a new one with "
            "'salus calibrate'"
        )

    def told(self) -> dict[str, str]:
        """Key and value for diagnostics."""
        now = self.adaptive
        used = "none: no alarm until more episodes succeed" if now.silent else f"{now.alpha:.4f}"
        return {
            "labelled successes": str(now.successes),
            f"false-alarm rate of the last {RECENT}": f"{now.recent_rate:.3f}",
            "adapted false-alarm rate": used,
        }

    def _seen(self, episode: int) -> _Seen:
        found = self._episodes.setdefault(episode, _Seen())
        while len(self._episodes) > _EPISODES:
            self._episodes.popitem(last=False)
        return found
