# SPDX-License-Identifier: Apache-2.0
"""The embedded policy's network, for any number of members in one forward pass.

Every parameter's first dimension holds the members, so that an ensemble's weights are its
members' weights laid end to end, and M members cost one grouped convolution instead of M calls.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn, relu, relu_
from torch.nn.functional import adaptive_avg_pool2d, conv2d, layer_norm, pad

from salus_policies.backends.embedded.config import SCENE_POINTS, SCENE_TARGETS, EmbeddedConfig
from salus_policies.backends.embedded.pretrained import PretrainedMixin

_STEM, _TRUNK, _KEYPOINTS, _MIDDLE, _DEEP = 16, 32, 20, 32, 48
_WORD, _FUSED = 48, 256
LOG_STD_RANGE = (-5.0, 1.0)  # of normalised action units


class NetworkOutput(NamedTuple):
    """What the members say: B observations, M members, H chunk steps.

    Attributes:
        mean: (B, M, H, 7) normalised action units; the gripper's opening is in 0..1.
        log_std: (B, M, H, 7).
        latent: (B, M, D).
        scene: (B, M, S) values named by `EmbeddedConfig.scene_targets`.
        heat: (B, M, C, P, S/2 * S/2) logits of where `config.SCENE_POINTS` are in the images,
            row after row.
    """

    mean: Tensor
    log_std: Tensor
    latent: Tensor
    scene: Tensor
    heat: Tensor


class StackedLinear(nn.Module):
    """A linear layer per member: (B, M, in) to (B, M, out)."""

    def __init__(self, members: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(members, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(members, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """Apply each member's layer to its own features."""
        if x.shape[0] == 1:
            # One observation: a product per member without rearranging the weights.
            return torch.baddbmm(self.bias[:, None], x.transpose(0, 1), self.weight).transpose(0, 1)
        return torch.einsum("bmi,mio->bmo", x, self.weight) + self.bias


class StackedNorm(nn.Module):
    """Layer normalisation with an own gain and offset per member, on (B, M, D)."""

    def __init__(self, members: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(members, size))
        self.bias = nn.Parameter(torch.zeros(members, size))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each member's features."""
        return layer_norm(x, x.shape[-1:]) * self.weight + self.bias


class StackedConv(nn.Module):
    """A convolution per camera and member, as one grouped convolution.

    Its groups are the cameras, one after the other, and within each its members.
    """

    def __init__(
        self, members: int, cameras: int, inputs: int, outputs: int, kernel: int, stride: int = 1
    ) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(inputs * kernel**2)
        shape = (members, cameras, outputs)
        self.weight = nn.Parameter(
            torch.empty(*shape, inputs, kernel, kernel).uniform_(-bound, bound)
        )
        self.bias = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
        self._stride, self._padding = stride, kernel // 2
        self._packed: tuple[Tensor, Tensor] | None = None

    def pack(self) -> None:
        """Lay the weights out for inference, once instead of in every pass."""
        self._packed = self._layout()

    def forward(self, x: Tensor, groups: int, film: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Convolve (B, groups * in, H, W).

        Groups are the cameras (one image for all members), or cameras times members. `film` are
        the gain and the offset (B, groups * out) that the result is modulated with.
        """
        weight, bias = self._packed or self._layout()
        if film is not None and len(x) == 1:
            # Into the weights, which are fewer than the pixels.
            gain, offset = (value[0] for value in film)
            weight, bias, film = weight * gain[:, None, None, None], bias * gain + offset, None
        x = conv2d(x, weight, bias, self._stride, self._padding, groups=groups)
        if film is None:
            return x
        gain, offset = (value[..., None, None] for value in film)
        return torch.addcmul(offset, x, gain)

    def _layout(self) -> tuple[Tensor, Tensor]:
        weight = self.weight.transpose(0, 1).flatten(0, 2)
        bias = self.bias.transpose(0, 1).flatten()
        return weight.contiguous(memory_format=torch.channels_last), bias


class CameraEncoders(nn.Module):
    """Language-modulated features of every camera for every member.

    Where things are comes from a spatial softmax (Levine et al. 2016, section 5.1) at half the
    image's resolution; what they look like from a coarser branch. The instruction modulates both
    (FiLM, Perez et al. 2018).
    """

    def __init__(self, members: int, cameras: int, image_size: int) -> None:
        super().__init__()
        self._members, self._cameras = members, cameras
        sizes = (members, cameras)
        self.stem = StackedConv(*sizes, 3, _STEM, 5, stride=2)
        self.trunk = StackedConv(*sizes, _STEM, _TRUNK, 3)
        self.film = StackedLinear(members, _WORD, cameras * 2 * _TRUNK)
        self.heat = StackedConv(*sizes, _TRUNK, _KEYPOINTS, 1)
        self.middle = StackedConv(*sizes, _TRUNK, _MIDDLE, 3, stride=2)
        self.deep = StackedConv(*sizes, _MIDDLE, _DEEP, 3, stride=2)
        cells = image_size // 2
        edge = (torch.arange(cells) + 0.5) * (2.0 / cells) - 1.0  # the cells' centres
        grid = torch.stack(torch.meshgrid(edge, edge, indexing="xy"), -1).reshape(-1, 2)
        self.register_buffer("grid", grid, persistent=False)

    def pack(self) -> None:
        """Prepare the convolutions for inference."""
        for part in (self.stem, self.trunk, self.middle, self.deep):
            part.pack()

    @staticmethod
    def output_size() -> int:
        """Features per camera and member."""
        return 2 * _KEYPOINTS + _TRUNK + 16 * _DEEP

    def forward(self, images: Tensor, words: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encode (B, C, 3, S, S) images in -1..1 under (B, M, W) instructions.

        Returns:
            Features (B, M, C, F); the places of `config.SCENE_POINTS` and how sure they are
            (B, M, C, 3 * P); heat as in `NetworkOutput`.
        """
        batch, m, cameras = images.shape[0], self._members, self._cameras
        groups = cameras * m
        # Two to three times as fast on CPUs, also for one observation.
        x = images.flatten(1, 2).contiguous(memory_format=torch.channels_last)
        x = self.stem(x, cameras)
        film = self.film(words).to(x.dtype).reshape(batch, m, cameras, 2 * _TRUNK).transpose(1, 2)
        gain, offset = film.chunk(2, -1)
        film = (1 + gain).reshape(batch, -1), offset.reshape(batch, -1)
        x = relu_(self.trunk(relu_(x), groups, film))
        heat = self._heat(x, groups)  # (B, groups * keypoints, S/2 * S/2)
        share = heat.float().softmax(2)
        points = (share @ self.grid).reshape(batch, groups, -1)
        looks = self._looks(share, x, groups)
        found = points.reshape(batch, cameras, m, -1)[..., : 2 * len(SCENE_POINTS)]
        heat, share = (
            value.reshape(batch, cameras, m, _KEYPOINTS, -1)[:, :, :, : len(SCENE_POINTS)]
            for value in (heat, share)
        )
        found = torch.cat([found, share.amax(-1)], -1).transpose(1, 2)
        deep = relu_(self.deep(relu_(self.middle(x, groups)), groups))
        deep = adaptive_avg_pool2d(deep, 4).reshape(batch, groups, -1)
        features = torch.cat([points, looks, deep.float()], -1)
        features = features.reshape(batch, cameras, m, -1).transpose(1, 2)
        return features, found, heat.transpose(1, 2)

    @staticmethod
    def _looks(share: Tensor, x: Tensor, groups: int) -> Tensor:
        """What the target looks like: features where the first keypoint is, (B, groups, T)."""
        share = share.reshape(len(x), groups, _KEYPOINTS, -1)[:, :, :1]
        if len(x) == 1:
            pixels = x.permute(0, 2, 3, 1).reshape(-1, groups, _TRUNK).transpose(0, 1)
            return torch.bmm(share[0], pixels.float())[None, :, 0]
        pixels = x.reshape(len(x), groups, _TRUNK, -1)
        return torch.einsum("bgp,bgtp->bgt", share[:, :, 0], pixels.float())

    def _heat(self, x: Tensor, groups: int) -> Tensor:
        """Logits of the softmax, from (B, groups * T, H, W): (B, groups * keypoints, H * W)."""
        if len(x) == 1:
            # A product, as torch's grouped 1x1 convolution takes the groups one by one.
            weight = self.heat.weight.transpose(0, 1).reshape(groups, _KEYPOINTS, _TRUNK)
            bias = self.heat.bias.transpose(0, 1).reshape(groups, _KEYPOINTS, 1)
            pixels = x.permute(0, 2, 3, 1).reshape(-1, groups, _TRUNK)
            return torch.baddbmm(bias, weight, pixels.permute(1, 2, 0)).flatten(0, 1)[None]
        return self.heat(x, groups).flatten(2)


class SentenceEncoder(nn.Module):
    """One vector per instruction from its words, each seen with the two before it.

    A mere mean of words could not tell 'the red cube on the blue' from 'the blue on the red'.
    """

    def __init__(self, members: int, vocabulary: int) -> None:
        super().__init__()
        self.words = nn.Parameter(0.3 * torch.randn(members, vocabulary, _WORD))
        self.context = StackedLinear(members, 3 * _WORD, _WORD)
        self.sentence = StackedLinear(members, _WORD, _WORD)

    def forward(self, tokens: Tensor) -> Tensor:
        """Encode (B, W) word numbers, -1 is padding: (B, M, E)."""
        batch, length = tokens.shape
        known = (tokens >= 0).float()[..., None]
        words = self.words[:, tokens.clamp(min=0)] * known  # (M, B, W, E)
        padded = pad(words, (0, 0, 2, 0))
        context = torch.cat([padded[:, :, i : i + length] for i in range(3)], -1)
        context = context.flatten(1, 2).transpose(0, 1)
        read = relu(self.context(context)).transpose(0, 1).reshape(-1, batch, length, _WORD)
        mean = (read * known).sum(2) / known.sum(1).clamp(min=1)
        return relu(self.sentence(mean.transpose(0, 1)))


class EmbeddedNetwork(nn.Module, PretrainedMixin):
    """Cameras, proprioception and an instruction to action chunks, for M members."""

    def __init__(self, config: EmbeddedConfig, members: int = 1) -> None:
        super().__init__()
        self.config, self.members = config, members
        m, cameras = members, len(config.cameras)
        self.sentence = SentenceEncoder(m, len(config.vocabulary))
        self.cameras = CameraEncoders(m, cameras, config.image_size)
        self.squeeze = StackedLinear(m * cameras, CameraEncoders.output_size(), _FUSED // 2)
        self.body = StackedLinear(m, len(config.proprioception), _FUSED // 4)
        fused = cameras * (_FUSED // 2 + 3 * len(SCENE_POINTS) + 1) + _FUSED // 4 + _WORD
        self.fuse = StackedLinear(m, fused, _FUSED)
        self.latent = StackedLinear(m, _FUSED, config.latent_size)
        self.norm = StackedNorm(m, config.latent_size)
        self.head = StackedLinear(m, config.latent_size, _FUSED)
        self.mean = StackedLinear(m, _FUSED, 7 * config.chunk_length)
        self.log_std = StackedLinear(m, _FUSED, 7 * config.chunk_length)
        self.scene = StackedLinear(m, config.latent_size, len(config.scene_targets))
        unit = torch.tensor([SCENE_TARGETS.get(name, 1.0) for name in config.scene_targets])
        self.register_buffer("scene_unit", unit, persistent=False)
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
        sentence = self.sentence(tokens)
        features, found, heat = self.cameras(images, sentence)
        cameras = features.shape[2]
        seen = relu(self.squeeze(features.flatten(1, 2))).reshape(batch, m, cameras, -1)
        there = present[:, None, :, None].expand(batch, m, cameras, 1)
        seen = torch.cat([seen * there, found * there, there], -1).flatten(2)
        body = (proprioception - self.proprioception_mean) / self.proprioception_std
        body = relu(self.body(body[:, None].expand(batch, m, -1)))
        fused = relu(self.fuse(torch.cat([sentence, seen, body], -1)))
        latent = self.norm(self.latent(fused))
        hidden = relu(self.head(latent))
        shape = (batch, m, self.config.chunk_length, 7)
        log_std = self.log_std(hidden).reshape(shape).clamp(*LOG_STD_RANGE)
        return NetworkOutput(
            self.mean(hidden).reshape(shape),
            log_std,
            latent,
            self.scene(latent) * self.scene_unit,
            heat,
        )
