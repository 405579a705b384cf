# SPDX-License-Identifier: Apache-2.0
"""STAC: agreement of consecutive action chunks (Sentinel, CoRL 2024, sec. 4.1)."""

import numpy as np

from salus_core.baselines.base import Baseline, carry, chunks, cumulate
from salus_core.data import StepData
from salus_core.data.windows import previous_row

_BLOCK = 2048
_PAIRS = 2000


class Stac(Baseline):
    """Maximum mean discrepancy between the members' previous and current chunks, added up.

    The chunks' overlap is one vector per member; the kernel is exp(-|x - y|^2 / beta), the
    estimator the biased one, which is never negative. The policy here proposes at every step, so
    chunks are one step apart. beta is the median squared distance in training.
    """

    name = "stac"
    needs_chunks = True

    def __init__(self):
        self._beta = 1.0

    def fit(self, train: StepData) -> "Stac":
        """Choose beta."""
        before, now = _overlaps(train, self.name, _PAIRS)
        squares = _squares(before, now)
        squares = squares[np.isfinite(squares)]
        self._beta = max(float(np.median(squares)), 1e-9) if len(squares) else 1.0
        return self

    def scores(self, data: StepData) -> np.ndarray:
        """Discrepancies up to this step, added up; the first is 0."""
        chunk, previous = chunks(data, self.name), previous_row(data)
        score = np.zeros(len(data), np.float32)
        follows = np.flatnonzero(previous >= 0)
        for begin in range(0, len(follows), _BLOCK):
            rows = follows[begin : begin + _BLOCK]
            x = _flat(chunk[previous[rows]][:, :, 1:])
            y = _flat(chunk[rows][:, :, :-1])
            within, between = self._kernel(x, x) + self._kernel(y, y), self._kernel(x, y)
            score[rows] = within - 2.0 * between
        return cumulate(carry(score, data), data, np.add)

    def _kernel(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.exp(-_squares(x, y) / self._beta).mean(axis=(1, 2))


class StacSingle(Baseline):
    """STAC for a policy with one sample: mean distance of the overlap, added up.

    The one sample is the first member's.
    """

    name = "stac_single"
    needs_chunks = True

    def scores(self, data: StepData) -> np.ndarray:
        """Distances up to this step, added up; the first is 0."""
        chunk, previous = chunks(data, self.name)[:, 0], previous_row(data)
        score = np.zeros(len(data), np.float32)
        follows = np.flatnonzero(previous >= 0)
        gap = chunk[previous[follows]][:, 1:] - chunk[follows][:, :-1]
        score[follows] = np.linalg.norm(gap, axis=2).mean(axis=1)
        return cumulate(carry(score, data), data, np.add)


def _overlaps(data: StepData, name: str, limit: int) -> tuple[np.ndarray, np.ndarray]:
    chunk, previous = chunks(data, name), previous_row(data)
    rows = np.flatnonzero(previous >= 0)
    if len(rows) > limit:
        rows = np.random.default_rng(0).choice(rows, limit, replace=False)
    return _flat(chunk[previous[rows]][:, :, 1:]), _flat(chunk[rows][:, :, :-1])


def _flat(chunk: np.ndarray) -> np.ndarray:
    return chunk.reshape(*chunk.shape[:2], -1)


def _squares(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(n, M, F) and (n, M, F) -> squared distances (n, M, M)."""
    return np.square(x[:, :, None] - y[:, None]).sum(axis=-1)
