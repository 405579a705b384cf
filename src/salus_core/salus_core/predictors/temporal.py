# SPDX-License-Identifier: Apache-2.0
"""`temporal`: a window of signals, body, action and latent; hazards with competing risks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from salus_core.predictors.heads import HazardHead
from salus_core.predictors.network import Network, NetworkShape, Output

_LONGEST_GAP = 1000  # steps of which nothing is known that a GRU is passed at most


@dataclass(frozen=True)
class TemporalConfig:
    """Of `temporal`.

    Attributes:
        width: units of every layer.
        projection: numbers that the embedding is brought down to.
        projection_width: units of a hidden layer on the way there; 0: none.
        learned_features: numbers more that are learned where `projection` is held
            (training.linear_probe).
        core: "tcn", which sees a window and no more, or "gru", which sees the episode so far and
            could count its steps.
        dilations: of the TCN's layers of three steps each; (1, 2, 4) is a window of 15 steps.
        dropout: share of each layer's outputs dropped in training.
        embedding_dropout: share of the embedding's numbers dropped in training.
        member_dropout: probability that a member's latent is dropped as a whole in training.
        embedding_noise: standard deviation of noise on the normalised embedding in training.
        outcome_head: also say by which type the episode will fail, whenever that is; the alarm
            looks at that then, instead of at failures within the longest horizon.
    """

    width: int = 64
    projection: int = 32
    projection_width: int = 0
    learned_features: int = 0
    core: str = "tcn"
    dilations: tuple[int, ...] = (1, 2, 4)
    dropout: float = 0.2
    embedding_dropout: float = 0.3
    member_dropout: float = 0.2
    embedding_noise: float = 0.2
    outcome_head: bool = False

    def __post_init__(self) -> None:
        if self.core not in ("tcn", "gru"):
            raise ValueError(f"core must be 'tcn' or 'gru', got {self.core!r}")
        if self.core == "tcn" and not self.dilations:
            raise ValueError("dilations must name at least one layer")


class EmbeddingProjection(nn.Module):
    """Embedding -> a few numbers, with noise and dropout of numbers and whole members before."""

    def __init__(self, shape: NetworkShape, config: TemporalConfig):
        super().__init__()
        divisible = shape.members > 1 and shape.embedding % shape.members == 0
        self._members = shape.members if divisible else 1
        self._member_dropout = config.member_dropout if divisible else 0.0
        self._noise = config.embedding_noise
        self.dropout = nn.Dropout(config.embedding_dropout)
        width = config.projection_width
        self.hidden = nn.Linear(shape.embedding, width) if width else None
        self.linear = nn.Linear(width or shape.embedding, config.projection)
        self.free = (
            nn.Linear(shape.embedding, config.learned_features) if config.learned_features else None
        )

    def forward(self, embedding: Tensor) -> Tensor:
        """(B, T, D) or (1, D) -> the same with `projection` and `learned_features` numbers."""
        if self.training:
            if self._noise > 0:
                embedding = embedding + self._noise * torch.randn_like(embedding)
            embedding = self.dropout(embedding)
            if self._member_dropout > 0:
                # Whole members for a whole episode: the others must be able to do without.
                keep = torch.rand(len(embedding), 1, self._members, 1, device=embedding.device)
                keep = (keep >= self._member_dropout).to(embedding.dtype)
                keep = keep / (1.0 - self._member_dropout)
                embedding = (embedding.unflatten(-1, (self._members, -1)) * keep).flatten(-2)
        found = self.project(embedding)
        return found if self.free is None else torch.cat([found, self.free(embedding)], dim=-1)

    def project(self, embedding: Tensor) -> Tensor:
        """(..., D) -> (..., projection)."""
        if self.hidden is not None:
            embedding = torch.relu(self.hidden(embedding))
        return self.linear(embedding)


class CausalLayer(nn.Module):
    """Residual layer over the steps t, t - d and t - 2 d; before the episode there are zeros."""

    def __init__(self, width: int, dilation: int, dropout: float):
        super().__init__()
        self.dilation = dilation
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(3 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, T, width) -> the same."""
        inputs = self.norm(hidden)
        past = [self._shift(inputs, back * self.dilation) for back in (2, 1)]
        return hidden + self.dropout(torch.relu(self.linear(torch.cat([*past, inputs], dim=-1))))

    def advance(self, hidden: Tensor, past: list[Tensor]) -> Tensor:
        """One step: (1, width) -> the same; `past` holds the last 2 d inputs, oldest first."""
        inputs = self.norm(hidden)
        joined = torch.cat([past[0], past[self.dilation], inputs], dim=-1)
        past.append(inputs)
        past.pop(0)
        return hidden + torch.relu(self.linear(joined))

    @staticmethod
    def _shift(inputs: Tensor, steps: int) -> Tensor:
        length = inputs.shape[1]
        return nn.functional.pad(inputs, (0, 0, steps, 0))[:, :length]


class Temporal(Network):
    """Columns and projected embedding -> one layer -> TCN or GRU -> hazards of the next steps.

    The step's number is not an input: a timeout could be told by it alone.
    """

    by_episode = True

    def __init__(self, shape: NetworkShape, config: TemporalConfig):
        super().__init__()
        self.head = HazardHead(shape.horizon_steps, shape.types, config.outcome_head)
        self.projection = EmbeddingProjection(shape, config) if shape.embedding else None
        inputs = shape.columns + (
            config.projection + config.learned_features if shape.embedding else 0
        )
        self.first = nn.Linear(inputs, config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList()
        self.gru: nn.GRU | None = None
        if config.core == "tcn":
            for dilation in config.dilations:
                self.layers.append(CausalLayer(config.width, dilation, config.dropout))
            self.context = self.reach = 1 + 2 * sum(config.dilations)
        else:
            self.gru = nn.GRU(config.width, config.width, batch_first=True)
            self.context, self.reach = shape.horizon_steps[-1], _LONGEST_GAP
        self.norm = nn.LayerNorm(config.width)
        self.last = nn.Linear(config.width, self.head.outputs)
        # Failures are rare: start from a thousandth per type and step.
        nn.init.constant_(self.last.bias[: self.head.hazards], -6.9)
        self.scene = nn.Linear(config.width, shape.scene) if shape.scene else None

    def forward(self, columns: Tensor, embedding: Tensor) -> Output:
        """See Network."""
        encoded = self._encode(columns, embedding)
        hidden = encoded
        for layer in self.layers:
            hidden = layer(hidden)
        if self.gru is not None:
            hidden = self.gru(hidden)[0]
        outputs = self.last(self.norm(self.dropout(hidden)))
        return Output(outputs, None if self.scene is None else self.scene(encoded))

    def start(self) -> Any:
        """See Network."""
        zeros = self.last.weight.new_zeros(1, self.last.in_features)
        if self.gru is not None:
            return zeros[None]
        return [[zeros] * (2 * layer.dilation) for layer in self.layers]

    def advance(self, columns: Tensor, embedding: Tensor, state: Any) -> tuple[Tensor, Any]:
        """See Network."""
        hidden = self._encode(columns, embedding)
        for layer, past in zip(self.layers, state if self.gru is None else [], strict=True):
            hidden = layer.advance(hidden, past)
        if self.gru is not None:
            hidden, state = self.gru(hidden[None], state)
            hidden = hidden[0]
        return self.last(self.norm(hidden)), state

    def _encode(self, columns: Tensor, embedding: Tensor) -> Tensor:
        if self.projection is not None:
            columns = torch.cat([columns, self.projection(embedding)], dim=-1)
        return self.dropout(torch.relu(self.first(columns)))
