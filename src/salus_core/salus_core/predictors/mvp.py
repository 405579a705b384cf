# SPDX-License-Identifier: Apache-2.0
"""`mvp`: the small set of six signals; will this episode fail, and how."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from salus_core.predictors.features import TREND_WINDOW
from salus_core.predictors.heads import EpisodeHead
from salus_core.predictors.network import Network, NetworkShape, Output


@dataclass(frozen=True)
class MvpConfig:
    """Of `mvp`.

    Attributes:
        hidden: size of both layers.
        dropout: share of each layer's outputs dropped in training.
    """

    hidden: int = 64
    dropout: float = 0.2


class Mvp(Network):
    """6 -> 64 -> 64 -> 4 with ReLU: 4,868 parameters.

    It says nothing of when: its probability is the same for every horizon.
    """

    context = TREND_WINDOW

    def __init__(self, shape: NetworkShape, config: MvpConfig):
        super().__init__()
        self.head = EpisodeHead(len(shape.horizon_steps), shape.types)
        inputs = shape.columns + shape.embedding
        self.layers = nn.Sequential(
            nn.Linear(inputs, config.hidden),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden, config.hidden),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden, self.head.outputs),
        )

    def forward(self, columns: Tensor, embedding: Tensor) -> Output:
        """See Network."""
        return Output(self.layers(torch.cat([columns, embedding], dim=-1)))
