# SPDX-License-Identifier: Apache-2.0
"""Losses of predictors: means over the steps that are known, per step and episode."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from salus_core.predictors.heads import HazardHead
from salus_core.predictors.network import Network

Batch = Mapping[str, Tensor]
"""Tensors of Targets, (B, T, ...), and `present` (B, T) bool: False where a batch is padded."""

LOSSES = ("bce", "focal", "survival", "episode_bce", "safe_mlp", "safe_lstm")


def make_loss(
    name: str, positive_weight: float, focal_gamma: float
) -> Callable[[Network, Tensor, Batch], Tensor]:
    """The loss of a name.

    Args:
        name: one of LOSSES.
        positive_weight: how much more a step with a failure ahead counts.
        focal_gamma: of "focal".

    Raises:
        ValueError: unknown name.
    """
    if name in ("bce", "focal"):
        gamma = focal_gamma if name == "focal" else 0.0
        return lambda network, outputs, batch: horizon_loss(
            network, outputs, batch, positive_weight, gamma
        )
    if name == "survival":
        return lambda network, outputs, batch: survival_loss(
            network, outputs, batch, positive_weight
        )
    if name == "episode_bce":
        return lambda network, outputs, batch: episode_loss(
            network, outputs, batch, positive_weight
        )
    if name in ("safe_mlp", "safe_lstm"):
        loss = safe_mlp_loss if name == "safe_mlp" else safe_lstm_loss
        return lambda network, outputs, batch: loss(outputs, batch)
    raise ValueError(f"unknown loss '{name}': use {', '.join(LOSSES)}")


def horizon_loss(
    network: Network, outputs: Tensor, batch: Batch, positive_weight: float, gamma: float
) -> Tensor:
    """Binary cross-entropy per horizon and type; with gamma > 0 the focal loss.

    Focal: -(1 - p)^gamma log p of the true class (Lin et al. 2017, eq. 4).
    """
    log_yes, log_no = network.head.log_probabilities(outputs)
    labels = batch["labels"].to(log_yes.dtype)
    weight = (batch["label_valid"] & batch["present"][..., None])[..., None].to(log_yes.dtype)
    weight = weight * (1.0 + (positive_weight - 1.0) * labels)
    log_true = torch.where(batch["labels"], log_yes, log_no)
    if gamma > 0:
        log_true = log_true * (-torch.expm1(log_true)).clamp(min=0.0) ** gamma
    return -_mean(log_true, weight)


def survival_loss(
    network: Network, outputs: Tensor, batch: Batch, positive_weight: float
) -> Tensor:
    """Negative log-likelihood of discrete competing risks with censoring.

    A failure within the longest horizon counts with the probability of its type and step, every
    other step with the probability that nothing happens as long as that is known.
    """
    if not isinstance(network.head, HazardHead):
        raise ValueError("the loss 'survival' needs a predictor with hazards: temporal")
    incidence, survived = network.head.log_incidence(outputs)
    steps, types = incidence.shape[-2:]
    ahead, known = batch["ahead"], batch["known"]
    event = ahead <= steps
    at = (ahead.clamp(1, steps) - 1)[..., None]
    of_type = incidence.gather(
        -1, batch["kind"].clamp(max=types - 1)[..., None, None].expand(*incidence.shape[:-1], 1)
    ).squeeze(-1)
    event_term = of_type.gather(-1, at).squeeze(-1)
    none_term = survived.gather(-1, (known.clamp(1, steps) - 1)[..., None]).squeeze(-1)
    weight = (batch["present"] & (event | (known > 0))).to(survived.dtype)
    weight = weight * torch.where(event, positive_weight, 1.0)
    return -_mean(torch.where(event, event_term, none_term), weight)


def episode_loss(network: Network, outputs: Tensor, batch: Batch, positive_weight: float) -> Tensor:
    """Binary cross-entropy per type of every step against what becomes of the episode."""
    log_yes, log_no = (logs[..., -1, :] for logs in network.head.log_probabilities(outputs))
    weight = (batch["fails_valid"] & batch["present"])[..., None].to(log_yes.dtype)
    weight = weight * torch.where(batch["fails"], positive_weight, 1.0)
    return -_mean(torch.where(batch["fails"], log_yes, log_no), weight)


def safe_mlp_loss(outputs: Tensor, batch: Batch) -> Tensor:
    """SAFE-MLP: per step relu(s_t) on successes, (t - s_t) on failures, t from 1."""
    score = outputs[..., 0]
    time = torch.arange(1, score.shape[1] + 1, device=score.device, dtype=score.dtype)
    loss = torch.where(batch["failed"], time - score, nn.functional.relu(score))
    return _over_episodes(loss, batch)


def safe_lstm_loss(outputs: Tensor, batch: Batch) -> Tensor:
    """SAFE-LSTM: binary cross-entropy of every step against the episode's outcome."""
    score = outputs[..., 0].clamp(1e-6, 1.0 - 1e-6)
    loss = -torch.where(batch["failed"], score.log(), torch.log1p(-score))
    return _over_episodes(loss, batch)


def outcome_head_loss(network: Network, outputs: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy of every step's outlook against how the episode ends, where that is known."""
    logs = network.head.log_outlook(outputs)
    true = logs.gather(-1, batch["kind"].clamp(max=logs.shape[-1] - 1)[..., None]).squeeze(-1)
    return -_mean(true, (batch["fails_valid"] & batch["present"]).to(logs.dtype))


def scene_loss(guess: Tensor, batch: Batch) -> Tensor:
    """Mean squared error of the ground truth, where it is known, in units of its spread."""
    known = torch.isfinite(batch["scene"]) & batch["present"][..., None]
    error = (guess.float() - torch.nan_to_num(batch["scene"])) ** 2
    return _mean(error, known.to(error.dtype))


def _over_episodes(loss: Tensor, batch: Batch) -> Tensor:
    """Mean over an episode's steps, then over the episodes, both outcomes with equal weight."""
    used = (batch["present"] & batch["ended"]).to(loss.dtype)
    per_episode = (loss * used).sum(1) / used.sum(1).clamp(min=1.0)
    counts = used.sum(1) > 0
    failed = (batch["failed"] & batch["present"]).any(1)
    shares = []
    for group in (counts & failed, counts & ~failed):
        if group.any():
            shares.append(per_episode[group].mean())
    return torch.stack(shares).mean() if shares else per_episode.sum() * 0.0


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    weight = weight.expand_as(values)
    return (values * weight).sum() / weight.sum().clamp(min=1.0)
