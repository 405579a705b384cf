# SPDX-License-Identifier: Apache-2.0
"""Windows of the last W steps of each step, without copying the data W times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from salus_core.data.step_data import StepData


@dataclass(frozen=True)
class Windows:
    """For each of N steps the rows of the last W steps of its episode.

    Attributes:
        rows: (N, W) int64, the step itself last; before the episode's first step its first row.
        present: (N, W) bool; False where the window reaches before the episode.
    """

    rows: np.ndarray
    present: np.ndarray

    def of(self, array: np.ndarray, steps: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Windows of an array with one row per step, zero where they reach before the episode.

        Args:
            array: (N, ...) numbers.
            steps: which of the N.

        Returns:
            (n, W, ...) of the same type.
        """
        windows = array[self.rows[steps]]
        windows[~self.present[steps]] = 0
        return windows


def make_windows(data: StepData, length: int) -> Windows:
    """Index the windows of all steps.

    Args:
        data: N steps.
        length: W, at least 1.

    Raises:
        ValueError: `length` is below 1.
    """
    if length < 1:
        raise ValueError(f"a window needs at least one step, not {length}")
    back = np.arange(length)[::-1]
    first = data.episodes.start[data.episode]
    rows = np.arange(len(data))[:, None] - back
    return Windows(np.maximum(rows, first[:, None]), rows >= first[:, None])


def previous_row(data: StepData) -> np.ndarray:
    """Row of the step before, (N,); -1 at an episode's first recorded step or after a lost one."""
    follows = (np.diff(data.episode) == 0) & (np.diff(data.step) == 1)
    return np.where(np.concatenate([[False], follows]), np.arange(len(data)) - 1, -1)
