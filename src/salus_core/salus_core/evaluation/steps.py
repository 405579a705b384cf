# SPDX-License-Identifier: Apache-2.0
"""Figures of steps: per target and horizon, over some of the episodes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from salus_core import metrics
from salus_core.data import StepData
from salus_core.evaluation.figures import Pair, StepFigures
from salus_core.evaluation.scored import Scored, positives, targets_of
from salus_core.metrics import EpisodeBootstrap

Thresholds = dict[tuple[str, int], float]
"""Alarm threshold of each (target, horizon index)."""


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
) -> dict[Pair, StepFigures]:
    """Figures of each target and horizon.

    Args:
        method: its scores of all N steps.
        data: N steps.
        chosen: (E,) bool, episodes that count.
        bootstrap: over the E episodes.
        thresholds: of precision, recall and F1; None: without these.
        pairs: (target, horizon index) that are wanted; None: all.

    Returns:
        By pair; a group without steps has counts alone.
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
        found[target, horizon] = StepFigures(**figures)
    return found
