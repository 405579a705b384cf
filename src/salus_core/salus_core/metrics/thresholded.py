# SPDX-License-Identifier: Apache-2.0
"""Figures of decisions: precision, recall and F1 at a threshold that was chosen elsewhere."""

import numpy as np
from sklearn.metrics import precision_recall_curve

from salus_core.metrics.bootstrap import LEVEL, EpisodeBootstrap, Estimate, estimate


def best_f1_threshold(score: np.ndarray, positive: np.ndarray) -> float:
    """Threshold with the largest F1, where an alarm is score >= threshold.

    For the validation split: on the data it is reported on it would flatter.

    Returns:
        Infinity if there is no positive: no alarm is right.
    """
    if not positive.any():
        return float("inf")
    precision, recall, thresholds = precision_recall_curve(positive, score)
    both = precision + recall
    f1 = np.divide(2.0 * precision * recall, both, out=np.zeros_like(both), where=both > 0)
    return float(thresholds[np.argmax(f1[:-1])])


def decisions(
    alarm: np.ndarray,
    positive: np.ndarray,
    episode: np.ndarray,
    bootstrap: EpisodeBootstrap,
    level: float = LEVEL,
) -> dict[str, Estimate]:
    """Precision, recall and F1 of steps.

    Args:
        alarm: (N,) bool.
        positive: (N,) bool.
        episode: (N,) int, which of the bootstrap's episodes each belongs to.
        bootstrap: over episodes.
        level: coverage of the intervals.

    Returns:
        "precision" (NaN without an alarm), "recall" (NaN without a positive), "f1".
    """
    table = np.stack(
        [
            np.bincount(episode[chosen], minlength=bootstrap.episodes)
            for chosen in (alarm & positive, alarm & ~positive, ~alarm & positive)
        ],
        axis=1,
    )
    values, replicates = _figures(table.sum(0)), _figures(bootstrap.total(table))
    return {
        name: estimate(float(value), replicate, level)
        for name, value, replicate in zip(
            ("precision", "recall", "f1"), values, replicates, strict=True
        )
    }


def _figures(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    hits, false, missed = np.moveaxis(np.asarray(counts, float), -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (
            hits / (hits + false),
            hits / (hits + missed),
            2.0 * hits / (2.0 * hits + false + missed),
        )
