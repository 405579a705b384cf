# SPDX-License-Identifier: Apache-2.0
"""`safe_mlp` and `safe_lstm`: the detectors of SAFE (Gu et al., NeurIPS 2025), as baselines.

Both read the policy's latent alone and learn from whether the episode failed, without onsets; they
give one score per step, without type or horizon.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from salus_core.predictors.heads import at_least_single
from salus_core.predictors.network import Network, NetworkShape, Output


@dataclass(frozen=True)
class SafeConfig:
    """Of `safe_mlp` and `safe_lstm`.

    Attributes:
        hidden: units of the one hidden layer.
    """

    hidden: int = 256


class SafeMlp(Network):
    """Latent -> 256 -> 1; s_t = sum over tau <= t of sigmoid(g(e_tau))."""

    by_episode = True

    def __init__(self, shape: NetworkShape, config: SafeConfig):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(shape.columns + shape.embedding, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, 1),
        )

    def forward(self, columns: Tensor, embedding: Tensor) -> Output:
        """See Network."""
        terms = torch.sigmoid(at_least_single(self.layers(torch.cat([columns, embedding], dim=-1))))
        return Output(terms.cumsum(dim=-2))

    def start(self) -> Tensor:
        """See Network."""
        return self.layers[0].weight.new_zeros(1, 1)

    def advance(self, columns: Tensor, embedding: Tensor, state: Any) -> tuple[Tensor, Any]:
        """See Network."""
        terms = torch.sigmoid(at_least_single(self.layers(torch.cat([columns, embedding], dim=-1))))
        return state + terms, state + terms


class SafeLstm(Network):
    """One LSTM layer of 256 units; s_t = sigmoid(w h_t)."""

    by_episode = True

    def __init__(self, shape: NetworkShape, config: SafeConfig):
        super().__init__()
        self.lstm = nn.LSTM(shape.columns + shape.embedding, config.hidden, batch_first=True)
        self.last = nn.Linear(config.hidden, 1)

    def forward(self, columns: Tensor, embedding: Tensor) -> Output:
        """See Network."""
        hidden, _ = self.lstm(torch.cat([columns, embedding], dim=-1))
        return Output(torch.sigmoid(at_least_single(self.last(hidden))))

    def start(self) -> tuple[Tensor, Tensor]:
        """See Network."""
        zeros = self.last.weight.new_zeros(1, 1, self.lstm.hidden_size)
        return zeros, zeros

    def advance(self, columns: Tensor, embedding: Tensor, state: Any) -> tuple[Tensor, Any]:
        """See Network."""
        inputs = torch.cat([columns, embedding], dim=-1)[None]
        hidden, state = self.lstm(inputs, state)
        return torch.sigmoid(at_least_single(self.last(hidden[0]))), state
