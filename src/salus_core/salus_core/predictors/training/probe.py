# SPDX-License-Identifier: Apache-2.0
"""A projection of the latent that is fitted to the scene before training, and held."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from salus_core.predictors.normaliser import Normaliser
from salus_core.predictors.temporal import EmbeddingProjection

PENALTY = 0.01
"""Of the ridge regression, per step, in units of a normalised number of the latent."""

_BLOCK = 8192

_NOISE, _DROPOUT = 0.5, 0.3
"""Of a probe with a hidden layer: with these it reads episodes that it has not seen nearly as well
as those that it was fitted on, so what is trained on its numbers may rely on them."""

_RATE, _DECAY, _BATCH, _PASSES, _LEAST_UPDATES = 1e-3, 1e-2, 512, 5, 1000


def fit_probe(
    embedding: np.ndarray, scene: np.ndarray, normaliser: Normaliser
) -> tuple[np.ndarray, np.ndarray]:
    """Ridge regression of the scene on the latent (Alain and Bengio 2016).

    There are hundreds of times more steps than failures: what a latent says of the scene can be
    learned from all of them, what it says of failures only from those few.

    Args:
        embedding: (N, D) of the training steps.
        scene: (N, S) ground truth with mean 0 and variance 1, NaN where not known.
        normaliser: of the embedding.

    Returns:
        Weights (S, D) and biases (S,) float32; zeros for columns that are never known.
    """
    known = np.isfinite(scene)
    size, columns = embedding.shape[1], scene.shape[1]
    weight, bias = np.zeros((columns, size), np.float32), np.zeros(columns, np.float32)
    # Columns that are known in the same steps share their normal equations.
    for mask, together in _alike(known):
        rows = np.flatnonzero(mask)
        if not rows.size:
            continue
        square = np.zeros((size + 1, size + 1))
        product = np.zeros((size + 1, len(together)))
        # In blocks: in single precision, the latents of all steps at once would be gigabytes.
        for begin in range(0, len(rows), _BLOCK):
            block = rows[begin : begin + _BLOCK]
            inputs = np.ones((len(block), size + 1), np.float32)
            inputs[:, :size] = normaliser.embedding(embedding[block])
            square += inputs.T @ inputs
            product += inputs.T @ scene[np.ix_(block, together)]
        square[np.arange(size), np.arange(size)] += PENALTY * len(rows)
        solution = np.linalg.solve(square, product)
        weight[together], bias[together] = solution[:-1].T, solution[-1]
    return weight, bias


def _fit_layers(
    projection: EmbeddingProjection,
    embedding: np.ndarray,
    scene: np.ndarray,
    normaliser: Normaliser,
    device: torch.device,
) -> None:
    """As `hold_projection`, by Adam with noise and dropout, from what the layers are."""
    hidden, linear = projection.hidden, projection.linear
    network = nn.Sequential(hidden, nn.ReLU(), nn.Dropout(_DROPOUT), linear).to(device).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=_DECAY)
    batches = math.ceil(len(embedding) / _BATCH)
    passes = max(_PASSES, math.ceil(_LEAST_UPDATES / batches))
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, passes * batches)
    for _ in range(passes):
        for rows in torch.randperm(len(embedding)).split(_BATCH):
            inputs = torch.from_numpy(normaliser.embedding(embedding[rows])).to(device)
            true = torch.from_numpy(scene[rows]).to(device)
            guess = network(inputs + _NOISE * torch.randn_like(inputs))
            known = torch.isfinite(true)
            error = ((guess - torch.nan_to_num(true)) ** 2 * known).sum() / known.sum().clamp(min=1)
            optimiser.zero_grad(set_to_none=True)
            error.backward()
            optimiser.step()
            schedule.step()
    network.cpu()
    never = torch.from_numpy(~np.isfinite(scene).any(0))
    with torch.no_grad():
        linear.weight[never], linear.bias[never] = 0.0, 0.0


def hold_projection(
    projection: EmbeddingProjection,
    embedding: np.ndarray,
    scene: np.ndarray,
    normaliser: Normaliser,
    device: torch.device,
) -> None:
    """Set a projection to what a probe of the scene is, and keep training from changing it.

    Args:
        projection: with or without a hidden layer.
        embedding: see `fit_probe`.
        scene: see `fit_probe`.
        normaliser: see `fit_probe`.
        device: to compute on.
    """
    if projection.hidden is None:
        fitted = fit_probe(embedding, scene, normaliser)
        with torch.no_grad():
            for parameter, found in zip(projection.linear.parameters(), fitted, strict=True):
                parameter.copy_(torch.from_numpy(found))
    else:
        _fit_layers(projection, embedding, scene, normaliser, device)
        projection.hidden.requires_grad_(False)
    projection.linear.requires_grad_(False)


def _alike(known: np.ndarray) -> list[tuple[np.ndarray, list[int]]]:
    groups: list[tuple[np.ndarray, list[int]]] = []
    for column in range(known.shape[1]):
        for mask, together in groups:
            if np.array_equal(mask, known[:, column]):
                together.append(column)
                break
        else:
            groups.append((known[:, column], [column]))
    return groups
