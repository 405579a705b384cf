# SPDX-License-Identifier: Apache-2.0
"""Fits a scene head to recorded episodes whose ground truth is known, by their simulator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from salus_core.data import StepData
from salus_core.data.scene import SCENE_NAMES
from salus_core.predictors.model import padded_rows
from salus_core.prevention.scene_head import (
    SceneHead,
    SceneHeadError,
    SceneHeadShape,
    SceneNetwork,
    loss_of,
    scene_inputs,
)

_AXES = ("x", "y", "z", "qx", "qy", "qz", "qw")


@dataclass(frozen=True)
class FitSettings:
    """How a scene head is fitted.

    Attributes:
        width: units of a layer.
        epochs: passes over the training episodes.
        batch_size: episodes.
        learning_rate: largest one; it rises and falls.
        weight_decay: of AdamW.
        noise: standard deviation of noise on the normalised latent.
        dropout: share of each layer's inputs that is dropped.
        seed: of everything random.
    """

    width: int = 128
    epochs: int = 25
    batch_size: int = 16
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    noise: float = 0.3
    dropout: float = 0.2
    seed: int = 0


def inputs_of(data: StepData, fingers: tuple[str, ...]) -> np.ndarray:
    """Inputs (N, D + BODY) of all steps.

    Args:
        data: with embeddings.
        fingers: names of the joints whose positions add up to the distance of the pads.

    Raises:
        SceneHeadError: the tool's pose or a finger is not recorded.
    """
    names = [f"tool.{axis}" for axis in _AXES] + [f"position.{name}" for name in fingers]
    known = list(data.proprioception_names)
    if missing := [name for name in names if name not in known]:
        raise SceneHeadError(f"the recordings lack {', '.join(missing)}")
    body = data.proprioception[:, [known.index(name) for name in names]]
    return scene_inputs(data.embedding, body[:, :3], body[:, 3:7], body[:, 7:].sum(axis=1))


def fit(train: StepData, fingers: tuple[str, ...], settings: FitSettings, source: str) -> SceneHead:
    """Fit a head.

    Args:
        train: episodes with embeddings and scene (`read_steps(..., scene=True)`).
        fingers: see `inputs_of`.
        settings: how.
        source: what its estimates say of where they come from.

    Raises:
        SceneHeadError: the recordings are of several policies, or lack what is read.
    """
    if len(train.policies) != 1 or train.scene is None:
        raise SceneHeadError("a scene head reads the latent of one policy, with its ground truth")
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    inputs, scene = inputs_of(train, fingers), np.asarray(train.scene, np.float32)
    shape = SceneHeadShape(
        SCENE_NAMES, train.embedding.shape[1], settings.width, train.policies[0][1], source
    )
    network = SceneNetwork(shape, settings.noise, settings.dropout)
    _set_scales(network, inputs, scene)
    true = (torch.from_numpy(scene) - network.output_mean) / network.output_scale
    given = torch.from_numpy(inputs)
    table = train.episodes
    count = len(table.length)
    batches = max(1, count // settings.batch_size)
    optimiser = torch.optim.AdamW(
        network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.learning_rate, total_steps=settings.epochs * batches, pct_start=0.1
    )
    for _ in tqdm(range(settings.epochs), desc="scene head", unit="epoch", disable=None):
        for chosen in np.array_split(rng.permutation(count), batches):
            rows, present = padded_rows(table.start[chosen], table.length[chosen])
            mean, log_std, _ = network.train()(given[rows])
            loss = loss_of(mean, log_std, true[rows], torch.from_numpy(present))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
    return SceneHead(shape, network)


def errors(head: SceneHead, data: StepData, fingers: tuple[str, ...]) -> dict[str, Any]:
    """Root mean squared errors by place [m, or shares], of episodes that it was not fitted to."""
    inputs, table, network = torch.from_numpy(inputs_of(data, fingers)), data.episodes, head.network
    found = np.empty((len(data), len(head.shape.names)), np.float32)
    with torch.inference_mode():
        for start, length in zip(table.start, table.length, strict=True):
            mean, _, _ = network(inputs[None, start : start + length])
            values = mean[0] * network.output_scale + network.output_mean
            found[start : start + length] = values.numpy()
    squares = (found - np.asarray(data.scene)) ** 2
    with np.errstate(invalid="ignore"):
        each = np.sqrt(np.nanmean(squares, axis=0))
    return {
        name: round(float(value), 5)
        for name, value in zip(head.shape.names, each, strict=True)
        if np.isfinite(value)
    }


def _set_scales(network: SceneNetwork, inputs: np.ndarray, scene: np.ndarray) -> None:
    """Mean 0 and variance 1, but for numbers that hardly vary or are never known."""
    for name, values in (("input", inputs), ("output", scene)):
        with np.errstate(invalid="ignore"):
            known = np.isfinite(values).any(axis=0)
            mean = np.where(known, np.nanmean(np.where(known, values, 0.0), axis=0), 0.0)
            spread = np.where(known, np.nanstd(np.where(known, values, 0.0), axis=0), 1.0)
        spread = np.where(spread > 1e-3, spread, 1.0)
        getattr(network, f"{name}_mean").copy_(torch.from_numpy(mean.astype(np.float32)))
        getattr(network, f"{name}_scale").copy_(torch.from_numpy(spread.astype(np.float32)))
