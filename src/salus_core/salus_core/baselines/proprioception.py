# SPDX-License-Identifier: Apache-2.0
"""What the robot's own pose and speed alone foretell: the bar that looking must pass."""

import numpy as np
import torch
from torch import nn

from salus_core.baselines.base import Baseline, BaselineError
from salus_core.baselines.networks import Standardiser, mlp, train
from salus_core.data import StepData
from salus_core.predictors.features import with_one_sign
from salus_core.predictors.interface import risk

_BLOCK = 16_384
_VALIDATION = 0.15


class ProprioceptionMlp(Baseline):
    """MLP on joint positions, joint velocities and tool pose of one step.

    It reads the phase of the task, which is most of what a step's AUROC measures; any predictor
    must beat it to show that the policy's signals add something.

    Args:
        epochs: at most; a held-out seventh of the training episodes ends it earlier.
        seed: of weights, order, and held-out episodes.
    """

    name = "proprioception"

    def __init__(self, epochs: int = 40, seed: int = 0):
        self._epochs, self._seed = epochs, seed

    def fit(self, train_data: StepData) -> "ProprioceptionMlp":
        """Train with binary cross-entropy on all horizons and types."""
        generator = np.random.default_rng(self._seed)
        held_out = generator.uniform(size=len(train_data.episodes)) < _VALIDATION
        usable = train_data.label_valid.any(axis=1)
        aside = held_out[train_data.episode]
        if not (usable & ~aside).any() or not (usable & aside).any():
            raise BaselineError(f"baseline '{self.name}' needs more training episodes")
        body = with_one_sign(train_data.proprioception, train_data.proprioception_names)
        self._standardise = Standardiser(body[usable & ~aside])
        shape = train_data.labels.shape[1:]
        torch.manual_seed(self._seed)
        self._network = mlp(train_data.proprioception.shape[1], (64, 64), shape[0] * shape[1])
        self._shape = shape

        def loss_of(mask: np.ndarray):
            inputs = self._standardise(body[mask])
            labels = torch.from_numpy(train_data.labels[mask].astype(np.float32))
            weight = torch.from_numpy(train_data.label_valid[mask].astype(np.float32))[..., None]

            def loss(rows: torch.Tensor | slice) -> torch.Tensor:
                logits = self._network(inputs[rows]).reshape(-1, *shape)
                each = nn.functional.binary_cross_entropy_with_logits(
                    logits, labels[rows], reduction="none"
                )
                return (each * weight[rows]).sum() / (weight[rows].sum() * shape[1]).clamp(min=1)

            return loss

        learn, check = loss_of(usable & ~aside), loss_of(usable & aside)
        train(
            self._network,
            int((usable & ~aside).sum()),
            learn,
            self._epochs,
            self._seed,
            validate=lambda: float(check(slice(None))),
        )
        return self

    def probabilities(self, data: StepData) -> np.ndarray:
        """Probabilities (N, H, K) float32, not falling with the horizon."""
        parts = []
        body = with_one_sign(data.proprioception, data.proprioception_names)
        with torch.no_grad():
            for begin in range(0, len(data), _BLOCK):
                inputs = self._standardise(body[begin : begin + _BLOCK])
                parts.append(torch.sigmoid(self._network(inputs)))
        probabilities = torch.cat(parts).numpy().reshape(-1, *self._shape)
        return np.maximum.accumulate(probabilities, axis=1)

    def scores(self, data: StepData) -> np.ndarray:
        """Risk of any failure but a timeout within the longest horizon."""
        return risk(self.probabilities(data), data.taxonomy.main)
