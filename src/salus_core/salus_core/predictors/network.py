# SPDX-License-Identifier: Apache-2.0
"""What every network of this package has in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True)
class NetworkShape:
    """Sizes that follow from the data.

    Attributes:
        columns: F, inputs per step but for the embedding.
        embedding: D.
        members: of the ensemble whose latents the embedding holds; 0: not known.
        horizon_steps: horizons in steps, ascending.
        types: K failure types.
        scene: S columns of ground truth that can be learned beside; 0: none.
    """

    columns: int
    embedding: int
    members: int
    horizon_steps: tuple[int, ...]
    types: int
    scene: int = 0


@dataclass(frozen=True)
class Output:
    """What a network gives for every step.

    Attributes:
        outputs: (B, T, O), for its head.
        scene: (B, T, S) guess of the ground truth; None: it does not guess.
    """

    outputs: Tensor
    scene: Tensor | None = None


class Network(nn.Module):
    """A causal network over the steps of episodes.

    Attributes:
        by_episode: trained on whole episodes, as it has a memory; else on single steps.
        context: steps after which its memory is full; forecasts before are "warming up".
        reach: steps of a gap that it is passed at most: as far back as its memory goes, or, if that
            has no end, a bound on the work.
        head: turns outputs into probabilities; None: its output is a risk score.
    """

    by_episode = False
    context = 1
    reach: int
    head: nn.Module | None

    def __init__(self) -> None:
        super().__init__()
        self.head = None
        self.reach = self.context

    def forward(self, columns: Tensor, embedding: Tensor) -> Output:
        """Outputs of all steps.

        Args:
            columns: (B, T, F), normalised, episodes from their first step on.
            embedding: (B, T, D), normalised.
        """
        raise NotImplementedError

    def start(self) -> Any:
        """State at the beginning of an episode."""
        return None

    def advance(self, columns: Tensor, embedding: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Outputs (1, O) of the next step, the same as `forward` gives, and the new state.

        Args:
            columns: (1, F).
            embedding: (1, D).
            state: of `start` or the last step.
        """
        return self(columns[None], embedding[None]).outputs[0], state
