# SPDX-License-Identifier: Apache-2.0
"""Small networks that baselines train, and how."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

Loss = Callable[[torch.Tensor], torch.Tensor]
"""Indices of a batch -> loss."""


class Standardiser:
    """Zero mean and unit deviation per column; NaN becomes 0.

    Args:
        rows: (n, D) to learn from.
    """

    def __init__(self, rows: np.ndarray):
        finite = np.where(np.isfinite(rows), rows, np.nan).astype(np.float64)
        self._mean = np.nan_to_num(np.nanmean(finite, axis=0))
        self._scale = np.nan_to_num(np.nanstd(finite, axis=0)) + 1e-6

    def __call__(self, rows: np.ndarray) -> torch.Tensor:
        """(n, D) -> float32 tensor."""
        scaled = (rows - self._mean) / self._scale
        return torch.from_numpy(np.nan_to_num(np.clip(scaled, -10, 10)).astype(np.float32))


def mlp(inputs: int, hidden: tuple[int, ...], outputs: int) -> nn.Sequential:
    """Multi-layer perceptron with ReLU."""
    layers: list[nn.Module] = []
    for size in hidden:
        layers += [nn.Linear(inputs, size), nn.ReLU()]
        inputs = size
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


def train(
    network: nn.Module,
    number: int,
    loss: Loss,
    epochs: int,
    seed: int,
    batch: int = 256,
    rate: float = 1e-3,
    validate: Callable[[], float] | None = None,
    patience: int = 5,
) -> None:
    """Train with Adam.

    Args:
        network: whose parameters are trained, in place.
        number: of samples.
        loss: of the samples with given indices.
        epochs: at most.
        seed: of the order.
        batch: samples per step.
        rate: learning rate.
        validate: loss on held-out episodes after each epoch; the best weights are kept.
        patience: epochs without a better one after which it ends.
    """
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=rate, weight_decay=1e-5)
    best, kept, since = float("inf"), None, 0
    for _ in range(epochs):
        network.train()
        for rows in torch.randperm(number, generator=generator).split(batch):
            optimizer.zero_grad()
            loss(rows).backward()
            optimizer.step()
        if validate is None:
            continue
        network.eval()
        with torch.no_grad():
            found = validate()
        since += 1
        if found < best:
            best, since = found, 0
            kept = {name: value.clone() for name, value in network.state_dict().items()}
        if since >= patience:
            break
    if kept is not None:
        network.load_state_dict(kept)
    network.eval()
