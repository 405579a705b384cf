# SPDX-License-Identifier: Apache-2.0
"""What a linear map can read off the policy's latent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PENALTIES = tuple(10.0**power for power in range(0, 6))
FOLDS = 4


@dataclass(frozen=True)
class ProbeScore:
    """How well one quantity is read.

    Attributes:
        name: of the quantity.
        r2: coefficient of determination on the test episodes.
        error: median absolute error there [m].
        rows: test rows.
        penalty: that cross-validation over training episodes chose.
    """

    name: str
    r2: float
    error: float
    rows: int
    penalty: float


def linear_probe(
    embeddings: np.ndarray,
    targets: np.ndarray,
    episode: np.ndarray,
    test: np.ndarray,
    names: tuple[str, ...],
) -> list[ProbeScore]:
    """Fit ridge regressions on training episodes and score them on test episodes.

    Alain and Bengio, Understanding intermediate layers using linear classifier probes, 2016.

    Args:
        embeddings: (N, D).
        targets: (N, T); NaN where a quantity does not exist.
        episode: (N,) int.
        test: (N,) bool, rows of test episodes.
        names: of the T quantities.

    Returns:
        One score per quantity that exists in both parts.
    """
    scores = []
    for name, target in zip(names, targets.T, strict=True):
        known = np.isfinite(target)
        train, held = known & ~test, known & test
        if len(np.unique(episode[train])) < FOLDS or held.sum() < 2:
            continue
        penalty = _best_penalty(embeddings[train], target[train], episode[train])
        predicted = _ridge(embeddings[train], target[train], [penalty], embeddings[held])[0]
        residual = target[held] - predicted
        variance = ((target[held] - target[held].mean()) ** 2).sum()
        scores.append(
            ProbeScore(
                name=name,
                r2=float(1.0 - (residual**2).sum() / variance),
                error=float(np.median(np.abs(residual))),
                rows=int(held.sum()),
                penalty=penalty,
            )
        )
    return scores


def _best_penalty(x: np.ndarray, y: np.ndarray, episode: np.ndarray) -> float:
    """The penalty of the smallest error in cross-validation by episodes."""
    fold = np.unique(episode, return_inverse=True)[1] % FOLDS
    errors = np.zeros(len(PENALTIES))
    for number in range(FOLDS):
        out = fold == number
        predicted = _ridge(x[~out], y[~out], PENALTIES, x[out])
        errors += ((predicted - y[out]) ** 2).sum(axis=1)
    return PENALTIES[int(errors.argmin())]


def _ridge(x: np.ndarray, y: np.ndarray, penalties, new: np.ndarray) -> np.ndarray:
    """Predictions (P, M) of ridge regressions on standardised inputs."""
    mean, scale = x.mean(axis=0), x.std(axis=0) + 1e-6
    inputs = ((x - mean) / scale).astype(np.float64)
    # One decomposition serves all penalties.
    values, vectors = np.linalg.eigh(inputs.T @ inputs)
    projected = vectors.T @ (inputs.T @ (y - y.mean()))
    rotated = ((new - mean) / scale).astype(np.float64) @ vectors
    return np.stack([rotated @ (projected / (values + p)) + y.mean() for p in penalties])
