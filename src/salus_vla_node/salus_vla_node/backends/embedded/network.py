"""The embedded policy's network, for any number of members in one forward pass.

Every parameter's first dimension holds the members, so that an ensemble's weights are its
members' weights laid end to end, and M members cost one grouped convolution instead of M calls.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn, relu

from salus_vla_node.backends.embedded.config import EmbeddedConfig

_STEM, _TRUNK, _KEYPOINTS, _MIDDLE, _DEEP = 16, 32, 16, 32, 48
_WORD, _FUSED = 32, 256
LOG_STD_RANGE = (-5.0, 1.0)  # of normalised action units


class NetworkOutput(NamedTuple):
    """What the members say: B observations, M members, H chunk steps.

    Attributes:
        mean: (B, M, H, 7) normalised action units; the gripper's opening is in 0..1.
        log_std: (B, M, H, 7).
        latent: (B, M, D).
        scene: (B, M, S) values named by `EmbeddedConfig.scene_targets`.
    """

    mean: Tensor
    log_std: Tensor
    latent: Tensor
    scene: Tensor


class StackedLinear(nn.Module):
    """A linear layer per member: (B, M, in) to (B, M, out)."""

    def __init__(self, members: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(members, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(members, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """Apply each member's layer to its own features."""
        return torch.einsum("bmi,mio->bmo", x, self.weight) + self.bias


class StackedNorm(nn.Module):
    """Layer normalisation with an own gain and offset per member, on (B, M, D)."""

    def __init__(self, members: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(members, size))
        self.bias = nn.Parameter(torch.zeros(members, size))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each member's features."""
        return nn.functional.layer_norm(x, x.shape[-1:]) * self.weight + self.bias


class CameraEncoder(nn.Module):
    """Language-modulated features of one camera for every member.

    Where things are comes from a spatial softmax (Levine et al. 2016, section 5.1) at half the
    image's resolution; what they look like from a coarser branch. The instruction modulates both
    (FiLM, Perez et al. 2018).
    """

    def __init__(self, members: int, image_size: int) -> None:
        super().__init__()
        m = members
        self.members = m
        self.stem = nn.Conv2d(3, m * _STEM, 5, stride=2, padding=2)
        self.trunk = nn.Conv2d(m * _STEM, m * _TRUNK, 3, padding=1, groups=m)
        self.film = StackedLinear(m, _WORD, 2 * _TRUNK)
        self.heat = nn.Conv2d(m * _TRUNK, m * _KEYPOINTS, 1, groups=m)
        self.middle = nn.Conv2d(m * _TRUNK, m * _MIDDLE, 3, stride=2, padding=1, groups=m)
        self.deep = nn.Conv2d(m * _MIDDLE, m * _DEEP, 3, stride=2, padding=1, groups=m)
        edge = torch.linspace(-1.0, 1.0, image_size // 2)
        grid = torch.stack(torch.meshgrid(edge, edge, indexing="ij"), -1).reshape(-1, 2)
        self.register_buffer("grid", grid, persistent=False)

    @staticmethod
    def output_size() -> int:
        """Features per member."""
        return 2 * _KEYPOINTS + 16 * _DEEP

    def forward(self, image: Tensor, words: Tensor) -> Tensor:
        """Encode (B, 3, S, S) images in -1..1 under (B, M, W) instructions: (B, M, F)."""
        batch, m = image.shape[0], self.members
        x = relu(self.stem(image.contiguous(memory_format=torch.channels_last)))
        x = self.trunk(x)
        gain, offset = self.film(words).to(x.dtype)[..., None, None].chunk(2, 2)
        shape = x.shape
        x = x.reshape(batch, m, _TRUNK, *shape[2:]) * (1 + gain) + offset
        x = relu(x).reshape(shape)
        heat = self.heat(x).reshape(batch, m, _KEYPOINTS, -1).float()
        points = (heat.softmax(-1) @ self.grid).flatten(2)
        deep = relu(self.deep(relu(self.middle(x))))
        deep = nn.functional.adaptive_avg_pool2d(deep, 4).reshape(batch, m, -1)
        return torch.cat([points, deep.float()], -1)


class EmbeddedNetwork(nn.Module):
    """Cameras, proprioception and an instruction to action chunks, for M members."""

    def __init__(self, config: EmbeddedConfig, members: int = 1) -> None:
        super().__init__()
        self.config, self.members = config, members
        m, cameras = members, config.cameras
        self.words = nn.Parameter(0.3 * torch.randn(m, len(config.vocabulary), _WORD))
        self.sentence = StackedLinear(m, _WORD, _WORD)
        self.encoders = nn.ModuleDict({c: CameraEncoder(m, config.image_size) for c in cameras})
        self.squeeze = nn.ModuleDict(
            {c: StackedLinear(m, CameraEncoder.output_size(), _FUSED // 2) for c in cameras}
        )
        self.body = StackedLinear(m, len(config.proprioception), _FUSED // 4)
        fused = len(cameras) * (_FUSED // 2 + 1) + _FUSED // 4 + _WORD
        self.fuse = StackedLinear(m, fused, _FUSED)
        self.latent = StackedLinear(m, _FUSED, config.latent_size)
        self.norm = StackedNorm(m, config.latent_size)
        self.head = StackedLinear(m, config.latent_size, _FUSED)
        self.mean = StackedLinear(m, _FUSED, 7 * config.chunk_length)
        self.log_std = StackedLinear(m, _FUSED, 7 * config.chunk_length)
        self.scene = StackedLinear(m, config.latent_size, len(config.scene_targets))
        for name in ("mean", "std"):
            values = getattr(config, f"proprioception_{name}")
            self.register_buffer(f"proprioception_{name}", torch.tensor(values), persistent=False)

    def forward(
        self, images: Tensor, present: Tensor, proprioception: Tensor, tokens: Tensor
    ) -> NetworkOutput:
        """Run every member on every observation.

        Args:
            images: (B, C, 3, S, S) in -1..1, in the config's order of cameras.
            present: (B, C) 1 where the camera is there, else 0.
            proprioception: (B, P), not normalised.
            tokens: (B, W) word numbers, -1 is padding.
        """
        batch, m = proprioception.shape[0], self.members
        known = (tokens >= 0).float()
        words = self.words[:, tokens.clamp(min=0)]  # (M, B, W, E)
        words = (words * known[..., None]).sum(2) / known.sum(1).clamp(min=1)[:, None]
        sentence = relu(self.sentence(words.transpose(0, 1)))
        parts = [sentence]
        for i, name in enumerate(self.config.cameras):
            there = present[:, i, None, None].expand(batch, m, 1)
            features = relu(self.squeeze[name](self.encoders[name](images[:, i], sentence)))
            parts += [features * there, there]
        body = (proprioception - self.proprioception_mean) / self.proprioception_std
        parts.append(relu(self.body(body[:, None].expand(batch, m, -1))))
        fused = relu(self.fuse(torch.cat(parts, -1)))
        latent = self.norm(self.latent(fused))
        hidden = relu(self.head(latent))
        shape = (batch, m, self.config.chunk_length, 7)
        log_std = self.log_std(hidden).reshape(shape).clamp(*LOG_STD_RANGE)
        return NetworkOutput(self.mean(hidden).reshape(shape), log_std, latent, self.scene(latent))
