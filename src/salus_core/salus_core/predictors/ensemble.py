"""Networks of one kind, trained side by side, whose probabilities are averaged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from salus_core.predictors.heads import HazardHead
from salus_core.predictors.network import Network, Output


class MeanHead(nn.Module):
    """Outputs of M networks, one after the other, to the mean of what their heads say.

    Args:
        heads: M, of the same shape.
    """

    def __init__(self, heads: Sequence[HazardHead]):
        super().__init__()
        self._heads = list(heads)
        self.has_outlook = heads[0].has_outlook
        self.outputs = sum(head.outputs for head in heads)

    def split(self, outputs: Tensor) -> tuple[Tensor, ...]:
        """Outputs (..., M O) of each network, (..., O)."""
        return outputs.chunk(len(self._heads), dim=-1)

    def probabilities(self, outputs: Tensor) -> Tensor:
        """P, (..., H, K)."""
        parts = zip(self._heads, self.split(outputs), strict=True)
        return torch.stack([head.probabilities(part) for head, part in parts]).mean(0)

    def log_outlook(self, outputs: Tensor) -> Tensor:
        """Log P of the ways in which the episode may end, (..., K + 1); the last is success."""
        parts = zip(self._heads, self.split(outputs), strict=True)
        return torch.stack([head.log_outlook(part).exp() for head, part in parts]).mean(0).log()


class Ensemble(Network):
    """A deep ensemble (Lakshminarayanan et al. 2017).

    Each network has its own loss, so that they do not lean on each other (see `split`).

    Args:
        networks: at least one, of the same shape, with hazards.
    """

    def __init__(self, networks: Sequence[Network]):
        super().__init__()
        self.by_episode = networks[0].by_episode
        self.context, self.reach = networks[0].context, networks[0].reach
        self.networks = nn.ModuleList(networks)
        self.head = MeanHead([network.head for network in networks])

    def forward(self, columns: Tensor, embedding: Tensor) -> Output:
        """See Network; the outputs of all are one after the other."""
        found = [network(columns, embedding) for network in self.networks]
        guesses = [output.scene for output in found if output.scene is not None]
        return Output(
            torch.cat([output.outputs for output in found], dim=-1),
            torch.cat(guesses, dim=-1) if guesses else None,
        )

    def split(self, output: Output) -> list[tuple[Network, Output]]:
        """See Network."""
        outputs = self.head.split(output.outputs)
        count = len(self.networks)
        guesses = [None] * count if output.scene is None else output.scene.chunk(count, dim=-1)
        return [
            (network, Output(*parts))
            for network, *parts in zip(self.networks, outputs, guesses, strict=True)
        ]

    def start(self) -> Any:
        """See Network."""
        return [network.start() for network in self.networks]

    def advance(self, columns: Tensor, embedding: Tensor, state: Any) -> tuple[Tensor, Any]:
        """See Network."""
        found = [
            network.advance(columns, embedding, own)
            for network, own in zip(self.networks, state, strict=True)
        ]
        return torch.cat([outputs for outputs, _ in found], dim=-1), [own for _, own in found]


def networks_of(network: Network) -> list[Network]:
    """Those of an ensemble, or the one."""
    return list(network.networks) if isinstance(network, Ensemble) else [network]
