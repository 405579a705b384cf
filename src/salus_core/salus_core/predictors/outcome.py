# SPDX-License-Identifier: Apache-2.0
"""`outcome`: will this episode fail? Members of an ensemble, one per fold of the episodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from salus_core.predictors.heads import at_least_single
from salus_core.predictors.network import Network, NetworkShape, Output


@dataclass(frozen=True)
class OutcomeConfig:
    """Of `outcome`.

    Attributes:
        members: networks; each learns from all folds of the episodes but one.
        width: units of each layer.
        projection: principal components of the latent that are read.
        dropout: share of each layer's outputs dropped in training.
        input_dropout: share of the inputs dropped in training.
        input_noise: standard deviation of noise on the normalised inputs in training.
    """

    members: int = 5
    width: int = 32
    projection: int = 24
    dropout: float = 0.3
    input_dropout: float = 0.2
    input_noise: float = 0.1

    def __post_init__(self) -> None:
        if self.members < 2:
            raise ValueError(f"members must be 2 or more, got {self.members}")


class OutcomeHead(nn.Module):
    """M x (1 + K) outputs: of each member whether the episode fails, and by which type if it does.

    P(fails by type k) is the mean of the members' sigmoid(z) softmax(y)_k. It stands for every
    horizon: the head does not say when. The mean goes through a map that is fitted to episodes
    that the members did not learn from: sigmoid(a logit + b), which leaves their order as it is.

    Args:
        members: M.
        horizons: H.
        types: K.
    """

    has_outcome_head = True

    def __init__(self, members: int, horizons: int, types: int):
        super().__init__()
        self._members, self._horizons, self._types = members, horizons, types
        self.outputs = members * (1 + types)
        self.scaling: Tensor
        self.register_buffer("scaling", torch.tensor([1.0, 0.0]))

    def split(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of failing (..., M) and of the types (..., M, K)."""
        parts = at_least_single(outputs).unflatten(-1, (self._members, 1 + self._types))
        return parts[..., 0], parts[..., 1:]

    def member_risks(self, outputs: Tensor, types: Sequence[int]) -> Tensor:
        """Of each member, the probability that the episode fails by one of some types: (..., M).

        Args:
            outputs: (..., O).
            types: codes, counted from 1.
        """
        fails, kinds = self.split(outputs)
        shares = torch.softmax(kinds, dim=-1)[..., [code - 1 for code in types]].sum(dim=-1)
        return torch.sigmoid(fails) * shares

    def log_outlook(self, outputs: Tensor) -> Tensor:
        """Log P of the ways in which the episode may end, (..., K + 1); the last is success."""
        fails, kinds = self.split(outputs)
        risk = torch.sigmoid(fails).unsqueeze(-1)
        ways = (risk * torch.softmax(kinds, dim=-1)).mean(dim=-2)
        total = ways.sum(dim=-1, keepdim=True).clamp(1e-7, 1.0 - 1e-7)
        scaled = torch.sigmoid(self.scaling[0] * torch.logit(total) + self.scaling[1])
        return torch.cat([ways * (scaled / total), 1.0 - scaled], dim=-1).clamp(min=1e-12).log()

    def probabilities(self, outputs: Tensor) -> Tensor:
        """P, (..., H, K), the same for every horizon."""
        ways = self.log_outlook(outputs)[..., :-1].exp().unsqueeze(-2)
        return ways.expand(*ways.shape[:-2], self._horizons, self._types)


class Member(nn.Module):
    """One hidden layer over columns and projected latent -> 1 + K outputs."""

    def __init__(self, inputs: int, types: int, config: OutcomeConfig):
        super().__init__()
        self._noise = config.input_noise
        self.layers = nn.Sequential(
            nn.Dropout(config.input_dropout),
            nn.Linear(inputs, config.width),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.width, 1 + types),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """(..., F) -> (..., 1 + K)."""
        if self.training and self._noise > 0:
            inputs = inputs + self._noise * torch.randn_like(inputs)
        return self.layers(inputs)


class Outcome(Network):
    """Columns and principal components of the latent -> M members, whose outputs stand in a row.

    It looks at one step: on 60 to 300 episodes of the built-in environment this ranked new ones
    better than a GRU or means over the last steps. What the episode has shown so far is kept by
    the alarm's score, which never falls.
    """

    head: OutcomeHead
    projection: nn.Linear | None

    def __init__(self, shape: NetworkShape, config: OutcomeConfig):
        super().__init__()
        self.head = OutcomeHead(config.members, len(shape.horizon_steps), shape.types)
        size = min(config.projection, shape.embedding)
        self.projection = nn.Linear(shape.embedding, size, bias=False) if size else None
        self.members = nn.ModuleList(
            Member(shape.columns + size, shape.types, config) for _ in range(config.members)
        )

    @torch.no_grad()
    def fit_projection(self, embedding: Tensor) -> None:
        """Set the projection to the principal components of latents (N, D), of unit variance."""
        if self.projection is None:
            return
        size = len(self.projection.weight)
        values, vectors = torch.linalg.eigh(embedding.T @ embedding / len(embedding))
        largest = values[-size:].clamp(min=1e-6).sqrt()
        self.projection.weight.copy_((vectors[:, -size:] / largest).T)

    def inputs(self, columns: Tensor, embedding: Tensor) -> Tensor:
        """(..., F) and (..., D) -> what the members read."""
        if self.projection is None:
            return columns
        return torch.cat([columns, self.projection(embedding).clamp(-8.0, 8.0)], dim=-1)

    def forward(self, columns: Tensor, embedding: Tensor) -> Output:
        """See Network."""
        inputs = self.inputs(columns, embedding)
        return Output(torch.cat([member(inputs) for member in self.members], dim=-1))
