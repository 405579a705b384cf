"""Figures of steps: per target and horizon, over some of the episodes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from salus_core import metrics
from salus_core.data import StepData
from salus_core.evaluation.scored import TARGETS, Scored, positives
from salus_core.failures import HORIZONS_S
from salus_core.metrics import EpisodeBootstrap, Estimate

Thresholds = dict[tuple[str, int], float]
"""Alarm threshold of each (target, horizon index)."""

ALL_PAIRS: tuple[tuple[str, int], ...] = tuple(
    (target, horizon) for target in TARGETS for horizon in range(len(HORIZONS_S))
)
"""Every (target, horizon index)."""


def validation_thresholds(
    method: Scored, data: StepData, pairs: Sequence[tuple[str, int]] = ALL_PAIRS
) -> Thresholds:
    """Thresholds of the best F1 on the validation split."""
    thresholds = {}
    for target, horizon in pairs:
        valid = data.label_valid[:, horizon]
        thresholds[target, horizon] = metrics.best_f1_threshold(
            method.of_target(TARGETS[target], horizon)[valid],
            positives(data, TARGETS[target], horizon)[valid],
        )
    return thresholds


def step_figures(
    method: Scored,
    data: StepData,
    chosen: np.ndarray,
    bootstrap: EpisodeBootstrap,
    thresholds: Thresholds | None = None,
    pairs: Sequence[tuple[str, int]] = ALL_PAIRS,
) -> dict[tuple[str, int], dict[str, Any]]:
    """Figures of each target and horizon.

    Args:
        method: its scores of all N steps.
        data: N steps.
        chosen: (E,) bool, episodes that count.
        bootstrap: over the E episodes.
        thresholds: of precision, recall and F1; None: without these.
        pairs: (target, horizon index) that are wanted.

    Returns:
        By pair: `steps`, `positives`, `episodes` (with a positive step), `base_rate`, and as
        Estimate `auroc`, `average_precision`; with thresholds `precision`, `recall`, `f1`, and
        `threshold`; of a method with probabilities `brier`, `ece`, `ece_equal_mass`.
    """
    found = {}
    for target, horizon in pairs:
        rows = data.label_valid[:, horizon] & chosen[data.episode]
        positive = positives(data, TARGETS[target], horizon)[rows]
        score = method.of_target(TARGETS[target], horizon)[rows]
        episode = data.episode[rows]
        common = (score, positive, episode, bootstrap)
        figures: dict[str, Any] = {
            "steps": len(score),
            "positives": int(positive.sum()),
            "episodes": len(np.unique(episode[positive])),
            "base_rate": float(positive.mean()) if len(positive) else float("nan"),
        }
        if len(score):
            figures["auroc"] = metrics.auroc(*common)
            figures["average_precision"] = metrics.average_precision(*common)
            if thresholds is not None:
                threshold = thresholds[target, horizon]
                alarm = score >= threshold
                figures |= metrics.decisions(alarm, positive, episode, bootstrap)
                figures["threshold"] = threshold
            if method.probabilities is not None:
                figures["brier"] = metrics.brier(*common)
                figures["ece"] = metrics.calibration_error(*common)
                figures["ece_equal_mass"] = metrics.calibration_error(*common, equal_mass=True)
        found[target, horizon] = figures
    return found


def plain(figures: Any) -> Any:
    """Figures as JSON values: estimates as value and interval, NaN and infinity as None."""
    if isinstance(figures, Estimate):
        return figures.to_dict()
    if isinstance(figures, dict):
        return {_key(key): plain(value) for key, value in figures.items()}
    if isinstance(figures, list | tuple):
        return [plain(value) for value in figures]
    if isinstance(figures, np.ndarray):
        return plain(figures.tolist())
    if isinstance(figures, np.generic):
        figures = figures.item()
    if isinstance(figures, float) and not np.isfinite(figures):
        return None
    return figures


def _key(key: Any) -> str:
    if isinstance(key, tuple):
        target, horizon = key
        return f"{target}@{HORIZONS_S[horizon]:g}s"
    return str(key)
