# SPDX-License-Identifier: Apache-2.0
"""What baselines have in common, and how they deal with steps that lack their input."""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from salus_core.data import StepData


class BaselineError(ValueError):
    """The data lack what a baseline needs; the message names both."""


class Baseline(ABC):
    """A `Detector` that is fitted first.

    Attributes:
        name: in tables.
        needs_chunks: it reads `StepData.chunk`.
    """

    name: str
    needs_chunks: ClassVar[bool] = False

    def fit(self, train: StepData) -> "Baseline":
        """Learn from the training split.

        Returns:
            Itself.

        Raises:
            BaselineError: the data lack what it needs.
        """
        return self

    @abstractmethod
    def scores(self, data: StepData) -> np.ndarray:
        """Risk of every step, (N,) float32 and finite, from the steps up to it only."""


def successful_steps(data: StepData, name: str, limit: int, seed: int = 0) -> np.ndarray:
    """Rows of successful episodes without intervention, at most `limit`, drawn without replacement.

    Raises:
        BaselineError: there is none.
    """
    table = data.episodes
    return _draw(data, table.succeeded & ~table.intervened, name, "successful", limit, seed)


def failed_steps(data: StepData, name: str, limit: int, seed: int = 0) -> np.ndarray:
    """Rows of failed episodes before the onset, likewise.

    Raises:
        BaselineError: there is none.
    """
    table = data.episodes
    return _draw(data, table.failed & ~table.intervened, name, "failed", limit, seed)


def _draw(
    data: StepData, episodes: np.ndarray, name: str, kind: str, limit: int, seed: int
) -> np.ndarray:
    rows = np.flatnonzero(episodes[data.episode] & data.label_valid[:, 0])
    if not len(rows):
        raise BaselineError(f"baseline '{name}' needs {kind} episodes: the training data have none")
    if len(rows) <= limit:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, limit, replace=False))


def latents(data: StepData, name: str) -> np.ndarray:
    """Embeddings in single precision, (N, D); NaN at steps without one.

    Raises:
        BaselineError: the data have none.
    """
    if not data.embedding.shape[1]:
        raise BaselineError(
            f"baseline '{name}' needs embeddings: none were recorded, or they were not read"
        )
    return data.embedding.astype(np.float32)


def chunks(data: StepData, name: str) -> np.ndarray:
    """Action chunks in normalised action units, (N, M, L, 7) float32.

    Raises:
        BaselineError: the data have none.
    """
    if data.chunk is None:
        raise BaselineError(
            f"baseline '{name}' needs action chunks: none were recorded, or they were not read"
        )
    return data.chunk.astype(np.float32) / data.action_scale


def carry(score: np.ndarray, data: StepData, at_first: float = 0.0) -> np.ndarray:
    """Fill steps without a score with the last one before them in the episode.

    Args:
        score: (N,), NaN where there is none.
        data: N steps.
        at_first: before the episode's first score.

    Returns:
        (N,) float32, finite.
    """
    known = np.where(np.isfinite(score), np.arange(len(score)), -1)
    last = np.maximum.accumulate(known)
    inside = last >= data.episodes.start[data.episode]
    return np.where(inside, score[last], at_first).astype(np.float32)


def cumulate(score: np.ndarray, data: StepData, how: np.ufunc) -> np.ndarray:
    """`how.accumulate` within each episode: np.add or np.maximum; (N,)."""
    result = np.empty_like(score)
    for _, rows in data.iterate():
        result[rows] = how.accumulate(score[rows])
    return result


def window_mean(score: np.ndarray, data: StepData, window: int) -> np.ndarray:
    """Mean over the last `window` steps of the episode, fewer at its start; (N,)."""
    total = np.concatenate([[0.0], np.cumsum(score, dtype=np.float64)])
    end = np.arange(1, len(score) + 1)
    begin = np.maximum(end - window, data.episodes.start[data.episode])
    return (total[end] - total[begin]) / (end - begin)
