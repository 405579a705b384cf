# SPDX-License-Identifier: Apache-2.0
"""Batches of steps or of whole episodes, with the augmentations of training."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from salus_core.data.step_data import StepData
from salus_core.predictors.features import raw_columns
from salus_core.predictors.model import NeuralPredictor, padded_rows
from salus_core.predictors.settings import SettingsError
from salus_core.predictors.training.configuration import TrainingSettings
from salus_core.predictors.training.targets import make_targets

_NOISY = ("signals", "action_std", "small_set")


class TrainingSet:
    """Normalised inputs and targets of N steps.

    Args:
        predictor: whose layout and normaliser are used.
        data: N steps.
        scene: (N, S) scaled ground truth; None: none.
    """

    def __init__(self, predictor: NeuralPredictor, data: StepData, scene: np.ndarray | None = None):
        self._normaliser = predictor.normaliser
        self._with_embedding = predictor.layout.embedding_size > 0
        self.by_episode = predictor.network.by_episode
        self.groups = predictor.layout.group_of_columns()
        self.columns = predictor.normaliser.columns(raw_columns(predictor.layout, data))
        self.embedding = data.embedding
        targets = make_targets(data, scene)
        self.targets = targets.arrays()
        self.start, self.length = data.episodes.start, data.episodes.length
        self.step_episode = data.episode
        self.failed = data.episodes.failed
        self.positive = data.labels.any(axis=(1, 2))
        self.useful = data.label_valid.any(axis=1) | targets.fails_valid

    def units(self) -> np.ndarray:
        """Episodes, or steps, that a pass visits."""
        return np.arange(len(self.start)) if self.by_episode else np.flatnonzero(self.useful)

    def batch(
        self,
        units: np.ndarray,
        augment: TrainingSettings | None,
        rng: np.random.Generator,
    ) -> dict[str, Tensor]:
        """Inputs `columns` (B, T, F), `embedding` (B, T, D), the targets and `present` (B, T).

        Args:
            units: episodes, or steps.
            augment: settings of the augmentations; None: none.
            rng: of the augmentations.
        """
        if self.by_episode:
            rows, present = self._episodes(units, augment, rng)
            read = rows
        else:
            rows, present = units[:, None], np.ones((len(units), 1), bool)
            read = rows if augment is None else self._shifted(units, augment, rng)[:, None]
        columns = self.columns[read]
        if augment is not None:
            columns = self._spoil(columns, augment, rng)
        embedding = np.zeros((*rows.shape, 0), np.float32)
        if self._with_embedding:
            embedding = self._normaliser.embedding(self.embedding[read])
        found = {name: array[rows] for name, array in self.targets.items()}
        found |= {"columns": columns, "embedding": embedding, "present": present}
        return {name: torch.from_numpy(array) for name, array in found.items()}

    def passes(
        self,
        settings: TrainingSettings,
        seed: int,
        rank: int = 0,
        world: int = 1,
    ) -> list[np.ndarray]:
        """Units of the batches of one training pass, those of one process of `world`.

        All processes get the same number of batches; what is left over is left out.

        Raises:
            SettingsError: there are fewer batches than processes.
        """
        rng = np.random.default_rng(seed)
        units = rng.permutation(self.units())
        if settings.positive_fraction > 0:
            flags = self.failed if self.by_episode else self.positive
            units = _balanced(units, flags[units], settings.positive_fraction, rng)
        size = settings.batch_size
        batches = [units[begin : begin + size] for begin in range(0, len(units), size)]
        usable = len(batches) - len(batches) % world
        if usable == 0:
            raise SettingsError(
                f"training.batch_size: {len(batches)} batches are too few for {world} processes"
            )
        return batches[rank:usable:world]

    def validation(self, size: int) -> Iterator[np.ndarray]:
        """Units of batches in order."""
        units = self.units()
        return (units[begin : begin + size] for begin in range(0, len(units), size))

    def _episodes(
        self, episodes: np.ndarray, augment: TrainingSettings | None, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        start, length = self.start[episodes], self.length[episodes]
        if augment is None:
            return padded_rows(start, length)
        late = rng.uniform(size=len(episodes)) < augment.random_start
        offset = np.where(late, rng.integers(0, np.maximum(length - 1, 1)), 0)
        start, length = start + offset, length - offset
        rows, present = padded_rows(start, length)
        if augment.time_warp > 0:
            change = rng.uniform(size=rows.shape)
            pace = np.ones(rows.shape, np.int64)
            pace[change < augment.time_warp / 2] = 0
            pace[change > 1.0 - augment.time_warp / 2] = 2
            pace[:, 0] = 0
            time = np.cumsum(pace, axis=1)
            present = time < length[:, None]
            rows = start[:, None] + np.minimum(time, length[:, None] - 1)
        return rows, present

    def _shifted(
        self, steps: np.ndarray, augment: TrainingSettings, rng: np.random.Generator
    ) -> np.ndarray:
        """Rows one step off for a share of the steps, within their episode."""
        moved = rng.uniform(size=len(steps)) < augment.time_warp
        episode = self.step_episode[steps]
        rows = steps + moved * rng.choice([-1, 1], len(steps))
        first = self.start[episode]
        return np.clip(rows, first, first + self.length[episode] - 1)

    def _spoil(
        self, columns: np.ndarray, augment: TrainingSettings, rng: np.random.Generator
    ) -> np.ndarray:
        if augment.signal_noise > 0:
            noisy = np.isin(self.groups, _NOISY)
            noise = rng.standard_normal((*columns.shape[:2], noisy.sum()), np.float32)
            columns[..., noisy] += np.float32(augment.signal_noise) * noise
        if augment.signal_dropout > 0:
            for group in ("signals", "valid"):
                at = np.flatnonzero(self.groups == group)
                if at.size and group == "signals":
                    lost = rng.uniform(size=(len(columns), 1, at.size)) < augment.signal_dropout
                if at.size and np.any(self.groups == "signals"):
                    columns[..., at] *= ~lost
        return columns


def _balanced(
    units: np.ndarray, positive: np.ndarray, share: float, rng: np.random.Generator
) -> np.ndarray:
    """As many units, of which `share` are positive, the rarer class drawn with replacement."""
    yes, no = units[positive], units[~positive]
    if len(yes) == 0 or len(no) == 0:
        return units
    count = round(share * len(units))
    drawn = [rng.choice(yes, count), rng.choice(no, len(units) - count)]
    return rng.permutation(np.concatenate(drawn))
