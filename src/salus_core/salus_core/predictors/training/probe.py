"""A projection of the latent that is fitted to the scene before training, and held."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from salus_core.predictors.features import Normaliser

PENALTY = 0.01
"""Of the ridge regression, per step, in units of a normalised number of the latent."""

_BLOCK = 8192


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


def hold_projection(
    layers: Sequence[torch.nn.Linear],
    embedding: np.ndarray,
    scene: np.ndarray,
    normaliser: Normaliser,
) -> None:
    """Set layers to `fit_probe` and keep training from changing them."""
    weight, bias = fit_probe(embedding, scene, normaliser)
    for linear in layers:
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weight))
            linear.bias.copy_(torch.from_numpy(bias))
        linear.requires_grad_(False)


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
