# SPDX-License-Identifier: Apache-2.0
"""What a training must have before it begins, and the figures of its validation."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from salus_core.data.step_data import StepData
from salus_core.predictors.features import InputError
from salus_core.predictors.interface import risk
from salus_core.predictors.temporal import TemporalConfig
from salus_core.predictors.training.configuration import RunSettings


def require_scene(settings: RunSettings, data: StepData) -> None:
    """Refuse to do without the scene in silence."""
    how = settings.training
    if how.linear_probe and not (
        isinstance(settings.network_config(), TemporalConfig)
        and "embedding" in settings.input_groups
    ):
        raise InputError(
            "training.linear_probe is true, but there is no latent to probe: use the predictor "
            "'temporal' with 'embedding' among its inputs, or training.linear_probe=false"
        )
    if how.reads_scene and (data.scene is None or not np.isfinite(data.scene).any()):
        name, value, off = (
            ("linear_probe", "true", "false")
            if how.linear_probe
            else ("auxiliary_weight", f"{how.auxiliary_weight:g}", "0")
        )
        raise InputError(
            f"training.{name} is {value}, but the training steps hold no ground truth "
            f"of the scene: set training.{name}={off}, or train on runs that recorded it"
        )


def require_monitor(settings: RunSettings, data: StepData) -> None:
    """Refuse to choose the best epoch by a figure that is not defined."""
    _, positive = _failing(data, -1)
    if settings.training.monitor != "loss" and (positive.all() or not positive.any()):
        found = "nothing but failures" if positive.any() else "no failure but timeouts"
        raise InputError(
            f"training.monitor is '{settings.training.monitor}', which is not defined on the "
            f"validation episodes: they hold {found}; use training.monitor=loss or more episodes"
        )


def validation_figures(scores: np.ndarray, data: StepData) -> dict[str, float]:
    """AUROC and average precision per step, any failure but timeout; {} where undefined.

    Args:
        scores: (N, H, K), or (N,) of a detector.
        data: N steps.
    """
    found: dict[str, float] = {}
    for horizon, seconds in ((-1, ""), (0, f"_{round(1000 * data.horizons[0])}ms")):
        valid, positive = _failing(data, horizon)
        if positive.all() or not positive.any():
            continue
        score = scores if scores.ndim == 1 else risk(scores, data.taxonomy.main, horizon)
        found[f"auroc{seconds}"] = float(roc_auc_score(positive, score[valid]))
        found[f"average_precision{seconds}"] = float(
            average_precision_score(positive, score[valid])
        )
    return found


def _failing(data: StepData, horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """Steps whose label is known, and of these whether a failure but a timeout comes: bool."""
    columns = [code - 1 for code in data.taxonomy.main]
    valid = data.label_valid[:, horizon]
    return valid, data.labels[valid, horizon][:, columns].any(axis=1)
