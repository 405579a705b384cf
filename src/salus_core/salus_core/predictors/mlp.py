# SPDX-License-Identifier: Apache-2.0
"""`mlp` and `mlp_large`: the twelve signals of one step, a stack of layers, all horizons."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from salus_core.predictors.heads import HorizonHead
from salus_core.predictors.network import Network, NetworkShape, Output


@dataclass(frozen=True)
class MlpConfig:
    """Of `mlp`.

    Attributes:
        hidden: sizes of the layers.
        dropout: share of each layer's outputs dropped in training.
    """

    hidden: tuple[int, ...] = (64, 128, 128, 64)
    dropout: float = 0.2


@dataclass(frozen=True)
class MlpLargeConfig(MlpConfig):
    """Of `mlp_large`."""

    hidden: tuple[int, ...] = (176, 256, 256, 128)


class Mlp(Network):
    """Linear, layer normalisation, ReLU, dropout per hidden layer; 12 inputs: 35,728 parameters."""

    def __init__(self, shape: NetworkShape, config: MlpConfig):
        super().__init__()
        self.head = HorizonHead(len(shape.horizon_steps), shape.types)
        sizes = (shape.columns + shape.embedding, *config.hidden)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(sizes):
            layers += [nn.Linear(before, after), nn.LayerNorm(after), nn.ReLU()]
            layers.append(nn.Dropout(config.dropout))
        last = nn.Linear(sizes[-1], self.head.outputs)
        # Failures are rare: start from 1 % per interval, not from a half.
        nn.init.constant_(last.bias, -4.6)
        self.layers = nn.Sequential(*layers, last)

    def forward(self, columns: Tensor, embedding: Tensor) -> Output:
        """See Network."""
        return Output(self.layers(torch.cat([columns, embedding], dim=-1)))
