# SPDX-License-Identifier: Apache-2.0
"""A real policy of a few hundred weights: a torch network per member, read from safetensors."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from salus_core.actions import TOOL_MOTION
from salus_policies.backends.base import (
    BackendError,
    PolicyBackend,
    PolicyInfo,
    PolicyOutput,
    hash_files,
)

NAME = "tiny_backend:TinyBackend"
SIZE = 32
MEMBERS, CHUNK, LATENT = 3, 4, 6


class TinyNetwork(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = torch.nn.Linear(3 + 7, LATENT)
        self.head = torch.nn.Linear(LATENT, CHUNK * 7)
        self.log_std = torch.nn.Parameter(torch.zeros(7))

    def forward(self, inputs):
        latent = torch.tanh(self.encoder(inputs))
        return self.head(latent).reshape(CHUNK, 7), self.log_std.exp(), latent


def make_checkpoint(folder: Path, seed: int = 0, camera: str = "front") -> Path:
    folder.mkdir(parents=True)
    (folder / "camera.txt").write_text(camera)
    for member in range(MEMBERS):
        torch.manual_seed(seed * MEMBERS + member)
        save_file(TinyNetwork().state_dict(), folder / f"member_{member}.safetensors")
    return folder


class TinyBackend(PolicyBackend):
    def __init__(self, info, networks):
        self._info = info
        self._networks = networks
        self.resets = 0

    @classmethod
    def load(cls, checkpoint, options):
        paths = [Path(checkpoint) / f"member_{i}.safetensors" for i in range(MEMBERS)]
        missing = [str(path) for path in paths if not path.is_file()]
        if missing:
            raise BackendError(f"missing weights {missing[0]}: make them with make_checkpoint")
        networks = []
        for path in paths:
            networks.append(TinyNetwork())
            networks[-1].load_state_dict(load_file(path))
        info = PolicyInfo(
            backend="tiny",
            policy=str(checkpoint),
            weights_hash=hash_files(Path(checkpoint), paths),
            cameras={(Path(checkpoint) / "camera.txt").read_text(): (SIZE, SIZE)},
            action=replace(TOOL_MOTION, scale=(0.01,) * 3 + (0.1,) * 3 + (1.0,)),
            control_period=1 / 30,
            members=MEMBERS,
            member_kind="checkpoints",
            embedding_size=LATENT,
            chunk_length=CHUNK,
            has_distribution=True,
        )
        return cls(info, networks)

    @property
    def info(self):
        return self._info

    def reset(self):
        self.resets += 1

    @torch.inference_mode()
    def act(self, observation):
        (image,) = observation.images.values()
        colour = image.mean(axis=(0, 1)) / 255.0
        inputs = torch.tensor(np.concatenate([colour, observation.joint_positions])).float()
        outputs = [network(inputs) for network in self._networks]
        scale = np.array(self._info.action_scale)
        chunks = np.stack([chunk.numpy() for chunk, _, _ in outputs]) * scale
        return PolicyOutput(
            action=chunks[:, 0].mean(axis=0),
            member_means=chunks[:, 0],
            member_stds=np.stack([std.numpy() for _, std, _ in outputs]) * scale,
            chunks=chunks,
            latent=np.mean([latent.numpy() for _, _, latent in outputs], axis=0),
        )


class FailingBackend(TinyBackend):
    """A policy that diverges: its action is not finite from step 1 on."""

    def act(self, observation):
        output = super().act(observation)
        if observation.step > 0:
            output.action[0] = np.nan
        return output


class SlowBackend(TinyBackend):
    """A policy slower than the camera."""

    def act(self, observation):
        import time

        time.sleep(0.15)
        return super().act(observation)


class BrokenBackend(TinyBackend):
    """A policy whose library throws."""

    def act(self, observation):
        raise RuntimeError("out of memory on the device")
