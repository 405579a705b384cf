# SPDX-License-Identifier: Apache-2.0
"""Distance of the policy's latent to the latents of successful episodes (SAFE, app. B)."""

import numpy as np

from salus_core.baselines.base import Baseline, carry, failed_steps, latents, successful_steps
from salus_core.data import StepData
from salus_core.signals import LatentStatistics, fit_latent_statistics

_BLOCK = 4096


class Mahalanobis(Baseline):
    """Mahalanobis distance to the latents of successes, with a shrunk covariance.

    Args:
        limit: steps that the statistics are fitted to.
    """

    name = "mahalanobis"

    def __init__(self, limit: int = 20_000):
        self._limit = limit
        self._statistics: LatentStatistics | None = None

    def fit(self, train: StepData) -> "Mahalanobis":
        """Fit mean and covariance."""
        rows = successful_steps(train, self.name, self._limit)
        chosen = latents(train, self.name)[rows]
        self._statistics = fit_latent_statistics(chosen[np.isfinite(chosen).all(axis=1)])
        return self

    def scores(self, data: StepData) -> np.ndarray:
        """Distance of each step's latent."""
        centred = latents(data, self.name) - self._statistics.mean
        return carry(np.linalg.norm(centred @ self._statistics.precision_cholesky, axis=1), data)


class CosineNeighbours(Baseline):
    """Mean cosine distance to the k nearest success latents minus that to failure latents.

    Args:
        k: neighbours.
        limit: latents of each kind that are kept, drawn at random.
    """

    def __init__(self, k: int, limit: int = 4000):
        self.name = f"cosine_knn_{k}"
        self._k, self._limit = k, limit
        self._banks: tuple[np.ndarray, np.ndarray] | None = None

    def fit(self, train: StepData) -> "CosineNeighbours":
        """Keep latents of successes and failures."""
        embedding = latents(train, self.name)
        banks = []
        for rows in (
            successful_steps(train, self.name, self._limit),
            failed_steps(train, self.name, self._limit),
        ):
            bank = _unit(embedding[rows])
            banks.append(bank[np.isfinite(bank).all(axis=1)])
        self._banks = (banks[0], banks[1])
        return self

    def scores(self, data: StepData) -> np.ndarray:
        """Far from successes and near to failures is high."""
        unit = _unit(latents(data, self.name))
        success, failure = (self._distance(unit, bank) for bank in self._banks)
        return carry(success - failure, data)

    def _distance(self, unit: np.ndarray, bank: np.ndarray) -> np.ndarray:
        k = min(self._k, len(bank))
        result = np.empty(len(unit), np.float32)
        for begin in range(0, len(unit), _BLOCK):
            likeness = unit[begin : begin + _BLOCK] @ bank.T
            nearest = np.partition(likeness, len(bank) - k, axis=1)[:, len(bank) - k :]
            result[begin : begin + _BLOCK] = 1.0 - nearest.mean(axis=1)
        return result


def _unit(embedding: np.ndarray) -> np.ndarray:
    return embedding / np.maximum(np.linalg.norm(embedding, axis=1, keepdims=True), 1e-9)
