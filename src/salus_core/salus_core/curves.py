# SPDX-License-Identifier: Apache-2.0
"""Scores of steps, end to end, as one curve per episode."""

import numpy as np


def pad_curves(
    score: np.ndarray, start: np.ndarray, length: np.ndarray, steps: int | None = None
) -> np.ndarray:
    """One row per episode, padded with its last value (FIPER, FAIL-Detect), or cut.

    Args:
        score: (N,).
        start: (E,), first step of each episode.
        length: (E,), its steps, at least one each.
        steps: T; None: of the longest episode.

    Returns:
        (E, T).

    Raises:
        ValueError: an episode has no step.
    """
    length = np.asarray(length)
    if len(length) and length.min() < 1:
        raise ValueError(f"episode {int(np.argmin(length))} has no step, so no curve")
    width = int(length.max(initial=0)) if steps is None else steps
    index = np.minimum(np.arange(width)[None, :], length[:, None] - 1)
    return np.asarray(score)[np.asarray(start)[:, None] + index]


def first_alarm(alarm: np.ndarray, start: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Step of each episode's first alarm, (E,); -1: none.

    Args:
        alarm: (N,) bool.
        start: (E,).
        length: (E,).
    """
    raised = pad_curves(alarm, start, length)
    return np.where(raised.any(axis=1), raised.argmax(axis=1), -1)


def rising_edges(alarm: np.ndarray, start: np.ndarray, length: np.ndarray) -> np.ndarray:
    """How often an alarm begins in each episode, (E,): steps in alarm that do not follow one.

    Args:
        alarm: (N,) bool.
        start: (E,).
        length: (E,).
    """
    raised = pad_curves(alarm, start, length).astype(np.int8)
    return raised[:, 0] + (np.diff(raised, axis=1) == 1).sum(axis=1)
