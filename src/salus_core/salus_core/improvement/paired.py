# SPDX-License-Identifier: Apache-2.0
"""Two predictors on the same episodes: is the second one better?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from salus_core.data import DataError, StepData
from salus_core.metrics import EpisodeBootstrap, Estimate, peak
from salus_core.metrics.bootstrap import difference
from salus_core.predictors.model import NeuralPredictor
from salus_core.predictors.training.cross_figures import ranking, t_min

REPLICATES = 2000
LEAST = 5
"""Failed, and successful, episodes of a test that says anything."""


@dataclass(frozen=True)
class Compared:
    """A candidate against the predictor in use, by ROC-AUC of episodes at T_min.

    Attributes:
        candidate: its figure.
        current: that of the one in use.
        difference: candidate minus current, paired.
        episodes: of the test that count.
        failed: of these.
    """

    candidate: Estimate
    current: Estimate
    difference: Estimate
    episodes: int
    failed: int

    def better(self, margin: float) -> bool:
        """The lower end of the 95 % interval of the difference lies above the margin."""
        return bool(self.difference.low > margin)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "figure": "ROC-AUC of episodes at T_min",
            "candidate": self.candidate.to_dict(),
            "current": self.current.to_dict(),
            "difference": self.difference.to_dict(),
            "episodes": self.episodes,
            "failed": self.failed,
        }


def compare(candidate: NeuralPredictor, current: NeuralPredictor, test: StepData) -> Compared:
    """Compare two predictors.

    Episodes in which somebody intervened do not count: how they would have ended is not known.

    Raises:
        DataError: the test has too few episodes of either outcome.
        MismatchError: it is not what they were trained on.
    """
    table = test.episodes
    counts = (table.failed | table.succeeded) & ~table.intervened
    failed = int((table.failed & counts).sum())
    succeeded = int(counts.sum()) - failed
    if min(failed, succeeded) < LEAST:
        raise DataError(
            f"the test has {failed} failed and {succeeded} successful episodes without "
            f"interventions, {LEAST} of each are needed"
        )
    bootstrap = EpisodeBootstrap(len(table), REPLICATES)
    limit = t_min(test, counts)

    def figure(predictor: NeuralPredictor) -> Estimate:
        score = np.nan_to_num(predictor.forecasts(test)[1])
        highest = peak(score, test.episode, test.step, limit, floor=0.0)
        return ranking(highest, table.failed, table.task, counts, bootstrap)[0]

    first, second = figure(candidate), figure(current)
    return Compared(first, second, difference(first, second), int(counts.sum()), failed)
