# SPDX-License-Identifier: Apache-2.0
"""The embedded ensemble: independently trained members on disk and in one forward pass.

On disk every member is a folder in Hugging Face form (config.json, model.safetensors); the
ensemble's folder adds ensemble.json, which lists them, and the statistics of their latents.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from salus_policies.backends.base import STATISTICS_FILE as STATISTICS_FILE
from salus_policies.backends.embedded.inputs import camera_view, tokenize
from salus_policies.backends.embedded.network import EmbeddedNetwork
from salus_policies.backends.embedded.pretrained import CheckpointError, read_json

FORMAT = "salus-embedded-ensemble"
ENSEMBLE_FILE = "ensemble.json"
MAX_MEMBERS = 64


class EnsembleOutput(NamedTuple):
    """What K members say about one observation, H chunk steps.

    Attributes:
        means: (K, H, 7) normalised action units; the opening is in 0..1.
        stds: (K, H, 7) normalised action units.
        latents: (K, D).
        scene: (K, S) named by `EmbeddedConfig.scene_targets`.
    """

    means: np.ndarray
    stds: np.ndarray
    latents: np.ndarray
    scene: np.ndarray


def save_ensemble(members: list[str], folder: Path) -> None:
    """Write the list of members, given by their folders' names below `folder`."""
    listing = {"format": FORMAT, "version": 1, "members": members}
    (folder / ENSEMBLE_FILE).write_text(json.dumps(listing, indent=1) + "\n", encoding="utf-8")


def member_folders(folder: Path) -> list[Path]:
    """The members that an ensemble's folder lists.

    Raises:
        CheckpointError: ensemble.json is missing or lists none.
    """
    listing = read_json(folder / ENSEMBLE_FILE)
    names = listing.get("members")
    good = isinstance(names, list) and 1 <= len(names) <= MAX_MEMBERS
    good = good and all(isinstance(name, str) for name in names)
    if listing.get("format") != FORMAT or not good:
        raise CheckpointError(
            f'{folder / ENSEMBLE_FILE}: expected "format": "{FORMAT}" and a list "members"'
        )
    return [folder / name for name in names]


class EmbeddedEnsemble:
    """K members in one forward pass."""

    def __init__(self, network: EmbeddedNetwork, device: torch.device, dtype: torch.dtype) -> None:
        self.config = network.config
        self.members = network.members
        self._device, self._dtype = device, dtype
        # A copy, as its weights are laid out for inference: the caller may go on training its own.
        self._network = copy.deepcopy(network).to(device).eval().requires_grad_(False)
        self._network.cameras.pack()

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, device: str = "cpu", dtype: torch.dtype = torch.float32
    ) -> EmbeddedEnsemble:
        """Load an ensemble's folder.

        Args:
            folder: holds ensemble.json.
            device: of torch.
            dtype: of the forward pass; the weights stay in float32.

        Raises:
            BackendError: a member's folder is missing.
            CheckpointError: a file is missing, does not fit, or the members differ in shape.
        """
        # Absolute, as a relative "folder/member" would be taken for a hub id where it is missing.
        members = member_folders(Path(folder).resolve())
        return cls(
            cls.stack([EmbeddedNetwork.from_pretrained(member) for member in members]),
            torch.device(device),
            dtype,
        )

    @staticmethod
    def stack(members: list[EmbeddedNetwork]) -> EmbeddedNetwork:
        """One network of all members.

        Raises:
            CheckpointError: their configurations differ.
        """
        config = members[0].config
        for i, member in enumerate(members):
            if member.config != config:
                raise CheckpointError(f"member {i}'s config.json differs from member 0's")
        stacked = EmbeddedNetwork(config, sum(m.members for m in members))
        states = [member.state_dict() for member in members]
        stacked.load_state_dict({k: torch.cat([s[k] for s in states]) for k in states[0]})
        return stacked

    def tokenize(self, instruction: str) -> np.ndarray:
        """Word numbers of an instruction; see `inputs.tokenize`."""
        return tokenize(instruction, self.config)

    def act(
        self, images: dict[str, np.ndarray], proprioception: np.ndarray, tokens: np.ndarray
    ) -> EnsembleOutput:
        """Run all members on one observation.

        Args:
            images: by camera, see `inputs.camera_view`; the network is told which are missing.
            proprioception: (P,) from `inputs.proprioception_vector`.
            tokens: (W,) from `tokenize`.

        Raises:
            ValueError: an image's size does not fit, or no camera is there.
        """
        return self.act_each([(images, proprioception, tokens)])[0]

    def act_each(
        self, observations: Sequence[tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]]
    ) -> list[EnsembleOutput]:
        """Run all members on several observations; each result is that of `act`, bit for bit.

        Args:
            observations: images, proprioception and tokens each, as `act` takes them.

        Raises:
            ValueError: an image's size does not fit, or no camera is there.
        """
        config, count = self.config, len(observations)
        size = config.image_size
        stacked = np.zeros((count, len(config.cameras), size, size, 3), np.uint8)
        present = np.zeros((count, len(config.cameras)), np.float32)
        for row, (images, _, _) in enumerate(observations):
            if not any(name in images for name in config.cameras):
                raise ValueError(f"none of the cameras {', '.join(config.cameras)} is there")
            for i, name in enumerate(config.cameras):
                if name in images:
                    stacked[row, i] = camera_view(images[name], name, config)
                    present[row, i] = 1.0
        proprioception = np.stack([vector for _, vector, _ in observations])
        tokens = np.stack([words for _, _, words in observations])
        # One by one: torch's products of several rows add up in another order than of one row.
        outputs = [
            self.forward(
                *(part[row : row + 1] for part in (stacked, present, proprioception, tokens))
            )
            for row in range(count)
        ]
        return [EnsembleOutput(*(value[0] for value in output)) for output in outputs]

    def forward(
        self,
        images: np.ndarray,
        present: np.ndarray,
        proprioception: np.ndarray,
        tokens: np.ndarray,
    ) -> EnsembleOutput:
        """As `act`, on B prepared observations; every result has B as its first dimension."""
        with (
            torch.inference_mode(),
            torch.autocast(
                self._device.type, self._dtype, enabled=self._dtype is not torch.float32
            ),
        ):
            output = self._network(
                prepare_images(torch.from_numpy(images).to(self._device)),
                *(torch.from_numpy(x).to(self._device) for x in (present, proprioception, tokens)),
            )
            values = (output.mean, output.log_std.float().exp(), output.latent, output.scene)
            return EnsembleOutput(*(value.float().cpu().numpy() for value in values))


def prepare_images(images: torch.Tensor) -> torch.Tensor:
    """(B, C, S, S, 3) uint8 to (B, C, 3, S, S) in -1..1."""
    return images.movedim(-1, -3).float().mul_(2.0 / 255.0).sub_(1.0)
