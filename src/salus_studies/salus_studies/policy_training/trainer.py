# SPDX-License-Identifier: Apache-2.0
"""Supervised training of one member on frames that the expert has labelled."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from salus_policies.backends.embedded.config import COLORS, SCENE_TARGETS, EmbeddedConfig
from salus_policies.backends.embedded.ensemble import prepare_images
from salus_policies.backends.embedded.network import EmbeddedNetwork, NetworkOutput
from salus_studies.policy_training.frames import Frames

_SCENE_WEIGHT = 0.2
_LENGTH_EXPONENT = -0.3  # of an episode's length, in the weight of its steps
_NEVER_DROPPED = (*COLORS, "push", "slide", "shove", "tray", "stack", "top")  # words


@dataclass
class StageResult:
    """Means over the last tenth of a stage's updates."""

    loss: float
    action_error: float
    scene_error: float


class Batches:
    """Random batches with the augmentations of training."""

    def __init__(self, frames: Frames, config: EmbeddedConfig, seed: int, size: int) -> None:
        self._frames, self._config, self._size = frames, config, size
        self._rng = np.random.default_rng(seed)
        self._torch = torch.Generator().manual_seed(seed)
        # The longer an episode, the less each of its steps says: a glimpse shows its own scene.
        lengths = np.bincount(frames.episode)
        weights = lengths[frames.episode].astype(float) ** _LENGTH_EXPONENT
        self._cumulated = np.cumsum(weights / weights.sum())
        self._droppable = [
            i for i, word in enumerate(config.vocabulary) if i and word not in _NEVER_DROPPED
        ]

    def draw(self) -> tuple[Tensor, ...]:
        """Images, present, proprioception, tokens; action chunks, scene values and points."""
        frames, config = self._frames, self._config
        rows = np.searchsorted(self._cumulated, self._rng.uniform(size=self._size))
        rows = np.minimum(rows, len(frames) - 1)
        images = self._spoil(prepare_images(torch.from_numpy(frames.images[rows])))
        present = torch.ones(self._size, len(config.cameras))
        if len(config.cameras) > 1:
            lost = self._rng.uniform(size=self._size) < 0.06
            camera = self._rng.integers(len(config.cameras), size=self._size)
            present[torch.from_numpy(lost), torch.from_numpy(camera[lost])] = 0.0
        tokens = frames.tokens[rows].copy()
        dropped = (self._rng.uniform(size=tokens.shape) < 0.1) & np.isin(tokens, self._droppable)
        tokens[dropped] = 0
        return (
            images,
            present,
            torch.from_numpy(frames.proprioception[rows]),
            torch.from_numpy(tokens),
            torch.from_numpy(frames.chunk[rows]),
            torch.from_numpy(frames.scene[rows]),
            torch.from_numpy(frames.points[rows]),
        )

    def _spoil(self, images: Tensor) -> Tensor:
        """Brightness and contrast per image."""
        shape = (*images.shape[:2], 1, 1, 1)
        gain = 1.0 + 0.15 * torch.randn(shape, generator=self._torch)
        shift = 0.1 * torch.randn(shape, generator=self._torch)
        return images.mul_(gain).add_(shift).clamp_(-1.0, 1.0)


class Losses(NamedTuple):
    """Of one member on a batch; `error` is the first action's mean absolute error."""

    action: Tensor
    scene: Tensor
    points: Tensor
    error: Tensor

    def total(self, points_weight: float) -> Tensor:
        """What training reduces."""
        return self.action + _SCENE_WEIGHT * self.scene + points_weight * self.points


def losses(output: NetworkOutput, action: Tensor, scene: Tensor, points: Tensor) -> Losses:
    """The action's and the auxiliary losses of one member; the action's where the chunk is known.

    The action loss is the beta-NLL with beta 0.5 (Seitzer et al. 2022, eq. 7), which keeps the
    mean's gradient alive where the predicted variance is large.
    """
    taught = ~torch.isnan(action[:, 0, 0])
    error = (output.mean[:, 0].float() - action)[taught]
    log_std = output.log_std[:, 0].float()[taught]
    variance = (2 * log_std).exp()
    nll = 0.5 * error**2 / variance + log_std
    weight = torch.linspace(1.0, 0.5, action.shape[1])[:, None]
    action_loss = _mean(nll * variance.detach().sqrt() * weight)
    known = ~torch.isnan(scene)
    unit = torch.tensor(list(SCENE_TARGETS.values()))
    difference = (output.scene[:, 0].float() - torch.nan_to_num(scene)) / unit
    scene_loss = (difference**2)[known].mean()
    points_loss = heat_loss(output.heat[:, 0].float(), points)
    return Losses(action_loss, scene_loss, points_loss, _mean(error[:, 0].abs()))


def _mean(values: Tensor) -> Tensor:
    """The mean; of nothing 0, so that a batch without actions teaches the rest."""
    return values.sum() / max(values.numel(), 1)


def heat_loss(heat: Tensor, points: Tensor) -> Tensor:
    """Cross-entropy of (B, C, P, H * W) logits with points (B, C, P, 2), NaN where not seen.

    A point between the cells' centres is shared among its four neighbours, so that the mean of the
    wanted distribution is the point.
    """
    cells = math.isqrt(heat.shape[-1])
    seen = ~torch.isnan(points[..., 0])
    place = ((points[seen] + 1) * (cells / 2) - 0.5).clamp(0, cells - 1)
    low = place.floor().clamp(max=cells - 2)
    part = place - low
    logs = heat[seen].log_softmax(-1)
    loss = torch.zeros(())
    for right in (0, 1):
        for down in (0, 1):
            share = (part[:, 0] if right else 1 - part[:, 0]) * (
                part[:, 1] if down else 1 - part[:, 1]
            )
            cell = (low[:, 1] + down) * cells + low[:, 0] + right
            loss = loss - (share * logs.gather(1, cell.long()[:, None])[:, 0]).sum()
    return loss / max(len(place), 1)


def train_stage(
    network: EmbeddedNetwork,
    frames: Frames,
    updates: int,
    batch: int,
    rate: float,
    seed: int,
    progress,
    points_weight: float,
) -> StageResult:
    """Train one member for a number of updates with a one-cycle learning rate, in place.

    The weights are replaced by their exponential mean at the end.

    Args:
        network: one member.
        frames: training data.
        updates: optimiser steps.
        batch: frames per step.
        rate: largest learning rate.
        seed: of order and augmentation.
        progress: called with (update, loss) after each update.
        points_weight: of finding `config.SCENE_POINTS`, beside the actions' 1.
    """
    network.train().requires_grad_(True).to(memory_format=torch.channels_last)
    batches = Batches(frames, network.config, seed, batch)
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=1e-4, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, rate, total_steps=updates, pct_start=0.1, final_div_factor=100
    )
    average = copy.deepcopy(network)
    fast = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    tail: list[tuple[float, float, float]] = []
    for update in range(updates):
        images, present, proprioception, tokens, *labels = batches.draw()
        with torch.autocast("cpu", torch.bfloat16, enabled=fast):
            output = network(images, present, proprioception, tokens)
        parts = losses(output, *labels)
        loss = parts.total(points_weight)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            keep = min(0.995, (1 + update) / (10 + update))
            torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - keep)
        if update >= 0.9 * updates:
            tail.append((loss.item(), parts.error.item(), parts.scene.item()))
        progress(update, loss.item())
    network.load_state_dict(average.state_dict())
    return StageResult(*(float(x) for x in np.mean(tail, axis=0)))
