# SPDX-License-Identifier: Apache-2.0
"""Scores of one method on one data set, in the form that every figure starts from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from salus_core.calibration import ProbabilityCalibration, fit_calibration
from salus_core.data import StepData
from salus_core.failures import Taxonomy
from salus_core.predictors.interface import (
    Detector,
    Forecaster,
    Predictor,
    alarm_score,
    risk,
)

MAIN_TARGET = "any_but_timeout"
ANY_TARGET = "any"


def targets_of(taxonomy: Taxonomy) -> dict[str, tuple[int, ...]]:
    """What a step's figure can be about: codes of the failure types by the target's name."""
    return {
        MAIN_TARGET: taxonomy.main,
        ANY_TARGET: taxonomy.codes,
        **{taxonomy.name(code): (code,) for code in taxonomy.codes},
    }


@dataclass(frozen=True)
class Scored:
    """Scores of N steps.

    Attributes:
        name: of the method, in tables.
        score: (N,) what its alarm looks at.
        probabilities: (N, H, K), or None of a method without horizons and types.
    """

    name: str
    score: np.ndarray
    probabilities: np.ndarray | None = None

    def of_target(self, types: Sequence[int], horizon: int) -> np.ndarray:
        """Score for failures of some types within a horizon, (N,).

        A method without horizons and types has the same one for all.
        """
        if self.probabilities is None:
            return self.score
        return risk(self.probabilities, types, horizon)


def positives(data: StepData, types: Sequence[int], horizon: int) -> np.ndarray:
    """Whether a failure of some types comes within a horizon, (N,) bool."""
    columns = [code - 1 for code in types]
    return data.labels[:, horizon][:, columns].any(axis=1)


def scored(detector: Detector | Predictor, data: StepData, name: str = "") -> Scored:
    """Run a predictor or detector over data.

    Raises:
        ValueError: a score is not finite; the message names the method and the first such step.
    """
    if isinstance(detector, Forecaster):
        found, score = detector.forecasts(data)
    else:
        found = np.asarray(detector.scores(data))
        score = alarm_score(found, data.taxonomy.main) if found.ndim == 3 else found
    result = Scored(name or detector.name, score, found if found.ndim == 3 else None)
    wrong = np.flatnonzero(~np.isfinite(result.score))
    if len(wrong):
        episode, step = data.episode[wrong[0]], data.step[wrong[0]]
        raise ValueError(
            f"'{result.name}' gives no finite score for {len(wrong)} steps, first for step {step} "
            f"of episode {episode} of the data, in {data.episodes.run[episode]}"
        )
    return result


class CalibratedBaseline:
    """A baseline with probabilities, calibrated as the predictors are.

    Args:
        baseline: with a method `probabilities`.
        method: of calibration.
        data: first half of the calibration split.
    """

    calibrates_score = True

    def __init__(self, baseline: object, method: str, data: StepData):
        self.name: str = baseline.name
        self._baseline = baseline
        self._calibration: ProbabilityCalibration = fit_calibration(
            method, baseline.probabilities(data), data.labels, data.label_valid
        )

    def scores(self, data: StepData) -> np.ndarray:
        """Calibrated probabilities, (N, H, K)."""
        return self._calibration.apply(self._baseline.probabilities(data))
