# SPDX-License-Identifier: Apache-2.0
"""Calibrated probabilities and the conformal band of a trained predictor."""

from __future__ import annotations

from typing import Any

import numpy as np

from salus_core.calibration.band import ConformalBand, fewest_episodes, smallest_alpha
from salus_core.calibration.drift import DriftReference
from salus_core.calibration.probabilities import fit_calibration
from salus_core.calibration.split import band_part, calibration_split
from salus_core.data.reading import DataError
from salus_core.data.step_data import EpisodeTable, StepData
from salus_core.predictors.model import NeuralPredictor, Source
from salus_core.predictors.training.configuration import CalibrationSettings
from salus_core.signals import SIGNAL_NAMES


def require_calibratable(
    predictor: NeuralPredictor, data: StepData, settings: CalibrationSettings
) -> None:
    """Refuse before training what `calibrate` would refuse after it.

    Raises:
        MismatchError: the episodes are of another policy.
        DataError: too few successful episodes for so small a false-alarm rate.
    """
    predictor.require_match(Source.of(data))
    if not predictor.gives_forecasts:
        return
    wanted = fewest_episodes(settings.alpha, settings.shape)
    there = int(_good(band_part(predictor, data).episodes).sum())
    if there < wanted:
        least = smallest_alpha(there, settings.shape)
        allowed = f" ({least:.3g} or more)" if least is not None else ""
        raise DataError(
            f"a false-alarm rate of {settings.alpha} needs {wanted} successful calibration "
            f"episodes to make the band from, there are {there}: collect more, "
            f"allow a larger calibration.alpha{allowed}, or leave calibration out with "
            "data.calibration="
        )


def calibrate(
    predictor: NeuralPredictor, data: StepData, settings: CalibrationSettings
) -> dict[str, Any]:
    """Give a predictor its calibration, its band, and its drift reference.

    The band needs episodes that nothing of the alarm's score was fitted on. The probabilities are
    calibrated on every second episode; where the score is one of them, the band is made from the
    others, else from all (`band_part`).

    Args:
        predictor: gets all three.
        data: of the calibration split.
        settings: of both.

    Returns:
        What was used, for the manifest.

    Raises:
        ValueError: too few successful episodes for so small a false-alarm rate.
    """
    if settings.failures:
        predictor.alarm_types = tuple(predictor.taxonomy.code(name) for name in settings.failures)
    first, _ = calibration_split(data)
    predictor.calibration = fit_calibration(
        settings.method, predictor.raw_scores(first), first.labels, first.label_valid
    )
    banded = band_part(predictor, data)
    table = banded.episodes
    good = _good(table)
    predictor.band = ConformalBand.fit(
        predictor.forecasts(banded)[1],
        table.start[good],
        table.length[good],
        settings.alpha,
        int(table.max_steps.max()) or None,
        settings.shape,
    )
    predictor.drift = DriftReference.fit(data.signals, data.episode, SIGNAL_NAMES)
    return {
        "method": settings.method,
        "calibration_episodes": len(first.episodes),
        "band_episodes": predictor.band.episodes,
        "alpha": settings.alpha,
        "score": [predictor.taxonomy.name(code) for code in predictor.alarm_types],
        "score_within": "episode" if predictor.has_outcome_head else "longest horizon",
    }


def _good(table: EpisodeTable) -> np.ndarray:
    """Episodes that ended well by themselves: (E,) bool."""
    return table.succeeded & ~table.intervened
