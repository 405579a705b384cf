# SPDX-License-Identifier: Apache-2.0
"""Normalisation of a network's inputs, fitted to the training steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from salus_core.data.step_data import EMBEDDING_DTYPE

_HEAVY_TAILED = ("signals", "action_std", "small_set")
_LIMIT = np.float32(8.0)  # normalised inputs are kept within
_LARGEST = np.float32(np.finfo(EMBEDDING_DTYPE).max)


@dataclass(frozen=True)
class Normaliser:
    """Brings columns to zero mean and unit variance over the training steps.

    Columns with heavy tails (signals and spreads) go through asinh(x / unit) first, `unit` being
    their median size: linear for small values, logarithmic for large ones.

    Attributes:
        unit: (F,) float32; 0: the column stays linear.
        mean: (F,) float32.
        scale: (F,) float32, one over the standard deviation.
        embedding_mean: (D,) float32.
        embedding_scale: (D,) float32.
    """

    unit: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    embedding_mean: np.ndarray
    embedding_scale: np.ndarray

    @classmethod
    def fit(cls, groups: Sequence[str], raw: np.ndarray, embedding: np.ndarray) -> Normaliser:
        """Fit to training steps.

        Args:
            groups: name of the group of each of the F columns.
            raw: (N, F) of `InputLayout.raw`.
            embedding: (N, D) that is read; D may be 0.
        """
        unit = np.zeros(raw.shape[1], np.float32)
        mean, scale = np.zeros_like(unit), np.ones_like(unit)
        for column in range(raw.shape[1]):
            if groups[column] == "valid":
                continue
            values = raw[:, column].astype(np.float64)
            values = values[np.isfinite(values)]
            if values.size == 0:
                continue
            if groups[column] in _HEAVY_TAILED:
                size = float(np.median(np.abs(values)))
                unit[column] = size
                values = np.arcsinh(values / size) if size > 0 else values
            mean[column] = values.mean()
            scale[column] = 1.0 / max(values.std(), 1e-6)
        known = np.isfinite(embedding).all(axis=1)
        used = embedding[known]
        if used.size == 0:
            size = embedding.shape[1]
            return cls(unit, mean, scale, np.zeros(size, np.float32), np.ones(size, np.float32))
        # Means in double precision without a copy of the whole array in it.
        e_mean = used.mean(axis=0, dtype=np.float64)
        e_square = np.einsum("nd,nd->d", used, used, dtype=np.float64) / len(used)
        e_std = np.sqrt(np.maximum(e_square - e_mean**2, 0.0))
        return cls(
            unit,
            mean,
            scale,
            e_mean.astype(np.float32),
            (1.0 / np.maximum(e_std, 1e-3)).astype(np.float32),
        )

    def columns(self, raw: np.ndarray) -> np.ndarray:
        """Normalise (n, F) columns to float32; what is not known becomes 0, the mean."""
        bent, divisor = self._bending
        values = np.where(bent, np.arcsinh(raw / divisor), raw)
        return _bounded((values - self.mean) * self.scale)

    def embedding(self, embedding: np.ndarray) -> np.ndarray:
        """Normalise (n, D) embeddings, rounded to half precision first, to float32."""
        values = np.asarray(embedding)
        if values.dtype != EMBEDDING_DTYPE:
            values = np.minimum(np.maximum(values, -_LARGEST), _LARGEST).astype(EMBEDDING_DTYPE)
        return _bounded((values.astype(np.float32) - self.embedding_mean) * self.embedding_scale)

    @cached_property
    def _bending(self) -> tuple[np.ndarray, np.ndarray]:
        bent = self.unit > 0
        return bent, np.where(bent, self.unit, np.float32(1.0))

    def arrays(self) -> dict[str, np.ndarray]:
        """Its arrays by name, for a checkpoint."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Normaliser:
        """Reverse `arrays`."""
        return cls(**{field.name: np.asarray(arrays[field.name]) for field in fields(cls)})


def _bounded(values: np.ndarray) -> np.ndarray:
    """Within the limit, and 0 where not known, as float32; these ufuncs are the cheap ones."""
    values = np.where(np.isnan(values), np.float32(0.0), values)
    return np.minimum(np.maximum(values, -_LIMIT), _LIMIT).astype(np.float32, copy=False)
