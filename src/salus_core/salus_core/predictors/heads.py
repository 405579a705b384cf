# SPDX-License-Identifier: Apache-2.0
"""From a network's outputs to probabilities that never fall with the horizon."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_SMALL = 1e-7


def at_least_single(values: Tensor) -> Tensor:
    """Values in single precision, unless they are in double: losses do not bear half precision."""
    return values if values.dtype == torch.float64 else values.float()


class HorizonHead(nn.Module):
    """H x K outputs: the odds of a failure between one horizon and the next.

    q_i = sigmoid(z_i) is the probability of type k in the interval up to horizon i, given none
    before; P(horizon i) = 1 - prod_(j <= i) (1 - q_j), so it cannot fall with i.

    Args:
        horizons: H.
        types: K.
    """

    def __init__(self, horizons: int, types: int):
        super().__init__()
        self._shape = (horizons, types)
        self.outputs = horizons * types

    def log_probabilities(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Log P and log (1 - P), (..., H, K) each."""
        logits = at_least_single(outputs).unflatten(-1, self._shape)
        absent = nn.functional.logsigmoid(-logits).cumsum(-2).clamp(max=-_SMALL)
        return torch.log(-torch.expm1(absent)), absent

    def probabilities(self, outputs: Tensor) -> Tensor:
        """P, (..., H, K)."""
        return -torch.expm1(self.log_probabilities(outputs)[1])


class EpisodeHead(nn.Module):
    """K outputs: the probability that the episode fails by type k, the same for every horizon."""

    def __init__(self, horizons: int, types: int):
        super().__init__()
        self._horizons = horizons
        self.outputs = types

    def log_probabilities(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Log P and log (1 - P), (..., H, K) each."""
        logits = at_least_single(outputs).unsqueeze(-2)
        logits = logits.expand(*logits.shape[:-2], self._horizons, logits.shape[-1])
        return nn.functional.logsigmoid(logits), nn.functional.logsigmoid(-logits)

    def probabilities(self, outputs: Tensor) -> Tensor:
        """P, (..., H, K)."""
        return torch.exp(self.log_probabilities(outputs)[0])


class HazardHead(nn.Module):
    """M x K outputs: a discrete hazard per type over the next M steps, competing risks.

    At step j ahead, given none before, type k happens with probability exp(z_jk) / (1 + sum_k'
    exp(z_jk')). The probability of type k within a horizon is its cumulative incidence (Tutz and
    Schmid 2016, Modeling Discrete Time-to-Event Data, section 8.1): it cannot fall with the
    horizon, and over the types it sums to less than 1.

    With an outlook there are K outputs more: of the episode's end, as a softmax over the types and
    success, whose output is 0.

    Args:
        steps: horizons in steps, ascending; M is the last.
        types: K.
        outlook: also say by which type the episode will fail, whenever that is.
    """

    def __init__(self, steps: tuple[int, ...], types: int, outlook: bool = False):
        super().__init__()
        self._steps = steps
        self._shape = (steps[-1], types)
        self.hazards = steps[-1] * types
        self.has_outcome_head = outlook
        self.outputs = self.hazards + (types if outlook else 0)

    def log_incidence(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Log P(type k exactly j steps ahead), (..., M, K), and log P(none up to j), (..., M)."""
        logits = at_least_single(outputs[..., : self.hazards]).unflatten(-1, self._shape)
        survive = -torch.logsumexp(nn.functional.pad(logits, (1, 0)), dim=-1)
        survived = survive.cumsum(-1)
        return logits + survived.unsqueeze(-1), survived

    def log_probabilities(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Log P and log (1 - P), (..., H, K) each."""
        probabilities = self.probabilities(outputs).clamp(_SMALL, 1.0 - _SMALL)
        return probabilities.log(), torch.log1p(-probabilities)

    def probabilities(self, outputs: Tensor) -> Tensor:
        """P, (..., H, K)."""
        incidence = self.log_incidence(outputs)[0].exp().cumsum(-2)
        return torch.stack([incidence[..., step - 1, :] for step in self._steps], dim=-2)

    def log_outlook(self, outputs: Tensor) -> Tensor:
        """Log P of the ways in which the episode may end, (..., K + 1); the last is success."""
        logits = at_least_single(outputs[..., self.hazards :])
        return torch.log_softmax(nn.functional.pad(logits, (0, 1)), dim=-1)
