# SPDX-License-Identifier: Apache-2.0
"""Reads the scene off a policy's latent: a small recurrent network, on disk without pickles."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor, nn

from salus_core.paths import PathError, read_bounded
from salus_core.predictors.settings import SettingsError, build
from salus_core.runtime.types import Observation, SceneEstimate

FORMAT = 1
DESCRIPTION, WEIGHTS = "scene_head.json", "scene_head.safetensors"
MAX_DESCRIPTION, MAX_WEIGHTS = 2**20, 64 * 2**20
BODY = 8
"""Numbers of the body: tool point (3) [m], quaternion (4), distance of the finger pads [m]."""
_LOG_STD = (-5.0, 3.0)


class SceneHeadError(ValueError):
    """A scene head cannot be used; the message says which and why."""


@dataclass(frozen=True)
class SceneHeadShape:
    """What a scene head reads and gives.

    Attributes:
        names: of the S places.
        embedding_size: D of the policy's latent.
        width: units of a layer.
        policy_hash: of the policy whose latent it reads.
        source: what its estimates say of where they come from.
    """

    names: tuple[str, ...]
    embedding_size: int
    width: int
    policy_hash: str
    source: str

    def __post_init__(self) -> None:
        """Check the sizes, which allocations follow.

        Raises:
            ValueError: one is out of its bounds.
        """
        if not 1 <= len(self.names) <= 64:
            raise ValueError(f"names must hold 1 to 64, holds {len(self.names)}")
        if not 1 <= self.embedding_size <= 16384 or not 1 <= self.width <= 4096:
            raise ValueError("embedding_size must lie within 1 and 16384, width within 1 and 4096")


class SceneNetwork(nn.Module):
    """Latent and body of the steps so far -> places, normalised, and their log standard deviations.

    Args:
        shape: of the head.
        noise: standard deviation of noise on the normalised latent in training.
        dropout: share of each layer's inputs that is dropped in training.
    """

    def __init__(self, shape: SceneHeadShape, noise: float = 0.3, dropout: float = 0.2):
        super().__init__()
        inputs, count, width = shape.embedding_size + BODY, len(shape.names), shape.width
        self._embedding, self._noise = shape.embedding_size, noise
        self.input_mean: Tensor
        self.input_scale: Tensor
        self.output_mean: Tensor
        self.output_scale: Tensor
        for name, size in (("input", inputs), ("output", count)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_scale", torch.ones(size))
        self.first = nn.Linear(inputs, width)
        self.dropout = nn.Dropout(dropout)
        self.memory = nn.GRU(width, width, batch_first=True)
        self.middle = nn.Linear(width, width)
        self.last = nn.Linear(width, 2 * count)

    def forward(self, inputs: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs (B, T, D + BODY), state (1, B, width) -> mean, log std (B, T, S), the state."""
        inputs = (inputs - self.input_mean) / self.input_scale
        if self.training and self._noise > 0:
            latent = inputs[..., : self._embedding]
            noisy = latent + self._noise * torch.randn_like(latent)
            inputs = torch.cat([noisy, inputs[..., self._embedding :]], dim=-1)
        hidden = self.dropout(torch.relu(self.first(inputs)))
        remembered, state = self.memory(hidden, state)
        hidden = hidden + remembered
        hidden = hidden + torch.relu(self.middle(self.dropout(hidden)))
        mean, log_std = self.last(hidden).chunk(2, dim=-1)
        return mean, log_std.clamp(*_LOG_STD), state


def scene_inputs(
    embedding: np.ndarray, position: np.ndarray, quaternion: np.ndarray, width: np.ndarray
) -> np.ndarray:
    """Inputs (..., D + BODY) float32 of a network.

    Args:
        embedding: (..., D).
        position: (..., 3) of the tool point [m].
        quaternion: (..., 4).
        width: (...) distance of the finger pads [m].
    """
    parts = [embedding, position, quaternion, np.asarray(width)[..., None]]
    return np.concatenate([np.asarray(part, np.float32) for part in parts], axis=-1)


class SceneHead:
    """A fitted head.

    Attributes:
        shape: what it reads and gives.
        network: in evaluation mode, on the CPU.
        hash: SHA-256 over its weights; empty: it is on no disk yet.
    """

    def __init__(self, shape: SceneHeadShape, network: SceneNetwork, digest: str = ""):
        self.shape = shape
        self.hash = digest
        self.network = network.cpu().eval().requires_grad_(False)

    def save(self, folder: Path | str, about: dict[str, Any] | None = None) -> None:
        """Write `scene_head.json` and `scene_head.safetensors` into a folder, which is made."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {name: tensor.contiguous() for name, tensor in self.network.state_dict().items()}
        part = folder / f".{WEIGHTS}.part"
        save_file(tensors, part)
        digest = hashlib.sha256(part.read_bytes()).hexdigest()
        os.replace(part, folder / WEIGHTS)
        content = {"format": FORMAT, **asdict(self.shape), "weights_sha256": digest}
        part = folder / f".{DESCRIPTION}.part"
        text = json.dumps({**content, "about": about or {}}, indent=1)
        part.write_text(text + "\n", encoding="utf-8")
        os.replace(part, folder / DESCRIPTION)
        self.hash = digest

    @classmethod
    def load(cls, folder: Path | str) -> SceneHead:
        """Read a head.

        Raises:
            SceneHeadError: it is missing, damaged, or out of bounds; names the file.
        """
        folder = Path(folder)
        path = folder / DESCRIPTION
        try:
            content = json.loads(read_bounded(path, MAX_DESCRIPTION))
            weights = read_bounded(folder / WEIGHTS, MAX_WEIGHTS)
        except PathError as error:
            raise SceneHeadError(str(error)) from error
        except (ValueError, RecursionError) as error:
            raise SceneHeadError(f"{path} is not valid JSON: {str(error)[:200]}") from error
        if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
            raise SceneHeadError(f"{path} is no scene head of format {FORMAT}")
        content.pop("about", None)
        digest = hashlib.sha256(weights).hexdigest()
        if digest != content.pop("weights_sha256", ""):
            raise SceneHeadError(
                f"{folder / WEIGHTS} is not the file that {DESCRIPTION} was written for"
            )
        try:
            shape = build(SceneHeadShape, content, str(path))
            network = SceneNetwork(shape)
            tensors = load(weights)
            network.load_state_dict(tensors)
        except (SafetensorError, SettingsError, RuntimeError) as error:
            said = " ".join(str(error).split())[:300]
            raise SceneHeadError(f"{folder / WEIGHTS} cannot be used: {said}") from error
        for name, tensor in tensors.items():
            if not torch.isfinite(tensor).all() or ("scale" in name and not (tensor > 0).all()):
                raise SceneHeadError(f"{folder / WEIGHTS}: tensor '{name}' holds unusable numbers")
        return cls(shape, network, digest)

    def require_policy(self, policy_hash: str) -> None:
        """Check that a policy's latent is the one that the head was fitted to.

        Raises:
            SceneHeadError: it is another.
        """
        if self.shape.policy_hash != policy_hash:
            raise SceneHeadError(
                f"the scene head reads the latent of policy {self.shape.policy_hash[:12]}, this is "
                f"{policy_hash[:12]}"
            )

    def stream(self) -> SceneStream:
        """The head for the steps of one environment."""
        return SceneStream(self)


class SceneStream:
    """Estimates of one episode, step by step.

    Args:
        head: that estimates.
    """

    def __init__(self, head: SceneHead):
        self._head = head
        self.reset()

    def reset(self) -> None:
        """Begin an episode."""
        self._state: Tensor | None = None

    def update(
        self, observation: Observation, embedding: np.ndarray | None
    ) -> SceneEstimate | None:
        """The estimate of the next step; None: it lacks what the head reads.

        Args:
            observation: of the step.
            embedding: (D,) the policy's latent.

        Raises:
            SceneHeadError: the latent has another size than the head was fitted to.
        """
        shape, network = self._head.shape, self._head.network
        position, quaternion = observation.tool_position, observation.tool_quaternion
        width = observation.gripper_width
        if embedding is None or position is None or quaternion is None or width is None:
            return None
        if len(embedding) != shape.embedding_size:
            raise SceneHeadError(
                f"the latent has {len(embedding)} numbers, the scene head reads "
                f"{shape.embedding_size}"
            )
        inputs = scene_inputs(embedding, position, quaternion, np.asarray(width))
        if not np.isfinite(inputs).all():
            return None
        with torch.inference_mode():
            mean, log_std, self._state = network(torch.from_numpy(inputs)[None, None], self._state)
            values = mean[0, 0] * network.output_scale + network.output_mean
            spread = log_std[0, 0].exp() * network.output_scale
        return SceneEstimate(shape.names, values.numpy(), shape.source, spread.numpy())


def loss_of(mean: Tensor, log_std: Tensor, true: Tensor, present: Tensor) -> Tensor:
    """What is minimised: squared errors, and likelihoods weighted by the spread (beta-NLL).

    Args:
        mean: (B, T, S) normalised.
        log_std: (B, T, S).
        true: (B, T, S) normalised, NaN where not known.
        present: (B, T) not padding.
    """
    known = torch.isfinite(true) & present[..., None]
    error = (mean - torch.nan_to_num(true)) ** 2
    likelihood = 0.5 * error * torch.exp(-2 * log_std) + log_std
    weighted = likelihood * log_std.detach().exp() + 0.1 * error
    return (weighted * known).sum() / known.sum().clamp(min=1)
