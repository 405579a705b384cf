"""Figures of steps: per target and horizon, over some of the episodes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from salus_core import metrics
from salus_core.data import StepData
from salus_core.evaluation.scored import Scored, positives, targets_of
from salus_core.metrics import EpisodeBootstrap, Estimate

Thresholds = dict[tuple[str, int], float]
"""Alarm threshold of each (target, horizon index)."""

Pair = tuple[str, int]
"""A target and the index of a horizon."""


def all_pairs(data: StepData) -> tuple[Pair, ...]:
    """Every (target, horizon index)."""
    horizons = range(len(data.horizons))
    return tuple((target, index) for target in targets_of(data.taxonomy) for index in horizons)


def validation_thresholds(
    method: Scored, data: StepData, pairs: Sequence[Pair] | None = None
) -> Thresholds:
    """Thresholds of the best F1 on the validation split; pairs None: all."""
    thresholds, targets = {}, targets_of(data.taxonomy)
    for target, horizon in pairs or all_pairs(data):
        valid = data.label_valid[:, horizon]
        thresholds[target, horizon] = metrics.best_f1_threshold(
            method.of_target(targets[target], horizon)[valid],
            positives(data, targets[target], horizon)[valid],
        )
    return thresholds


def step_figures(
    method: Scored,
    data: StepData,
    chosen: np.ndarray,
    bootstrap: EpisodeBootstrap,
    thresholds: Thresholds | None = None,
    pairs: Sequence[Pair] | None = None,
) -> dict[tuple[str, int], dict[str, Any]]:
    """Figures of each target and horizon.

    Args:
        method: its scores of all N steps.
        data: N steps.
        chosen: (E,) bool, episodes that count.
        bootstrap: over the E episodes.
        thresholds: of precision, recall and F1; None: without these.
        pairs: (target, horizon index) that are wanted; None: all.

    Returns:
        By pair: `steps`, `positives`, `episodes` (with a positive step), `base_rate`, and as
        Estimate `auroc`, `average_precision`; with thresholds `precision`, `recall`, `f1`, and
        `threshold`; of a method with probabilities `brier`, `ece`, `ece_equal_mass`.
    """
    found, targets = {}, targets_of(data.taxonomy)
    for target, horizon in pairs or all_pairs(data):
        rows = data.label_valid[:, horizon] & chosen[data.episode]
        positive = positives(data, targets[target], horizon)[rows]
        score = method.of_target(targets[target], horizon)[rows]
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


def plain(figures: Any, horizons: Sequence[float]) -> Any:
    """Figures as JSON values: estimates as value and interval, NaN and infinity as None.

    Args:
        figures: nested; keys may be (target, horizon index).
        horizons: [s], of those indices.
    """
    if isinstance(figures, Estimate):
        return figures.to_dict()
    if isinstance(figures, dict):
        return {_key(key, horizons): plain(value, horizons) for key, value in figures.items()}
    if isinstance(figures, list | tuple):
        return [plain(value, horizons) for value in figures]
    if isinstance(figures, np.ndarray):
        return plain(figures.tolist(), horizons)
    if isinstance(figures, np.generic):
        figures = figures.item()
    if isinstance(figures, float) and not np.isfinite(figures):
        return None
    return figures


def _key(key: Any, horizons: Sequence[float]) -> str:
    if isinstance(key, tuple):
        target, horizon = key
        return f"{target}@{horizons[horizon]:g}s"
    return str(key)
