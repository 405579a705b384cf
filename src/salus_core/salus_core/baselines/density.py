# SPDX-License-Identifier: Apache-2.0
"""Density of successful observations: RND and logpZO (FAIL-Detect, RSS 2025)."""

import numpy as np
import torch
from torch import nn

from salus_core.baselines.base import Baseline, carry, latents, successful_steps
from salus_core.baselines.networks import Standardiser, mlp, train
from salus_core.data import StepData

_BLOCK = 8192


class RandomDistillation(Baseline):
    """Distance of a trained network's output to that of a frozen random one (RND).

    The trained one has seen successes only, so it agrees where the input is like theirs.

    Args:
        with_action: on (latent, action) as FAIL-Detect does; else on the latent as FIPER does.
        limit: steps that it is trained on.
        epochs: of training.
        seed: of both networks.
    """

    def __init__(
        self, with_action: bool = True, limit: int = 20_000, epochs: int = 20, seed: int = 0
    ):
        self.name = "rnd" if with_action else "rnd_latent"
        self._with_action = with_action
        self._limit, self._epochs, self._seed = limit, epochs, seed

    def fit(self, train_data: StepData) -> "RandomDistillation":
        """Train on successes."""
        rows = successful_steps(train_data, self.name, self._limit)
        features = self._features(train_data)[rows]
        self._standardise = Standardiser(features)
        inputs = self._standardise(features)
        torch.manual_seed(self._seed)
        self._target = mlp(inputs.shape[1], (256, 256), 64).requires_grad_(False)
        self._network = mlp(inputs.shape[1], (256, 256), 64)
        with torch.no_grad():
            wanted = self._target(inputs)
        train(
            self._network,
            len(inputs),
            lambda batch: nn.functional.mse_loss(self._network(inputs[batch]), wanted[batch]),
            self._epochs,
            self._seed,
        )
        return self

    def scores(self, data: StepData) -> np.ndarray:
        """Squared distance of the two networks."""
        features = self._features(data)
        parts = []
        with torch.no_grad():
            for begin in range(0, len(features), _BLOCK):
                inputs = self._standardise(features[begin : begin + _BLOCK])
                parts.append((self._network(inputs) - self._target(inputs)).square().mean(1))
        score = torch.cat(parts).numpy()
        return carry(np.where(np.isfinite(features).all(axis=1), score, np.nan), data)

    def _features(self, data: StepData) -> np.ndarray:
        embedding = latents(data, self.name)
        if not self._with_action:
            return embedding
        return np.concatenate([embedding, data.action / data.action_scale], axis=1)


class LogpZO(Baseline):
    """Flow matching from successful features to noise; the noise it leads to tells the density.

    A network v(x, t) is trained on x_t = (1 - t) x_0 + t x_1 with target x_1 - x_0, where x_0 is a
    feature of a success and x_1 is noise; the score is |x + v(x, 0)|^2, the squared norm of the
    noise that one Euler step reaches.

    Args:
        limit: steps that it is trained on.
        epochs: of training.
        seed: of the network and the noise.
    """

    name = "logpzo"

    def __init__(self, limit: int = 20_000, epochs: int = 30, seed: int = 0):
        self._limit, self._epochs, self._seed = limit, epochs, seed

    def fit(self, train_data: StepData) -> "LogpZO":
        """Train on successes."""
        rows = successful_steps(train_data, self.name, self._limit)
        features = latents(train_data, self.name)[rows]
        self._standardise = Standardiser(features)
        start = self._standardise(features)
        torch.manual_seed(self._seed)
        self._network = mlp(start.shape[1] + 1, (256, 256), start.shape[1])
        generator = torch.Generator().manual_seed(self._seed)

        def loss(batch: torch.Tensor) -> torch.Tensor:
            x0 = start[batch]
            x1 = torch.randn(x0.shape, generator=generator)
            t = torch.rand(len(x0), 1, generator=generator)
            flow = self._network(torch.cat([(1.0 - t) * x0 + t * x1, t], dim=1))
            return nn.functional.mse_loss(flow, x1 - x0)

        train(self._network, len(start), loss, self._epochs, self._seed)
        return self

    def scores(self, data: StepData) -> np.ndarray:
        """Squared norm of the noise that belongs to the step's feature."""
        features = latents(data, self.name)
        parts = []
        with torch.no_grad():
            for begin in range(0, len(features), _BLOCK):
                x = self._standardise(features[begin : begin + _BLOCK])
                noise = x + self._network(torch.cat([x, torch.zeros(len(x), 1)], dim=1))
                parts.append(noise.square().sum(1))
        score = torch.cat(parts).numpy()
        return carry(np.where(np.isfinite(features).all(axis=1), score, np.nan), data)
