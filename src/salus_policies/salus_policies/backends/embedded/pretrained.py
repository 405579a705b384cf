# SPDX-License-Identifier: Apache-2.0
"""One member on disk in Hugging Face form: config.json and model.safetensors, never a pickle."""

from __future__ import annotations

import json
import reprlib
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file

from salus_core.paths import PathError, read_bounded
from salus_policies.backends.checkpoints import resolve
from salus_policies.backends.embedded.config import EmbeddedConfig

CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
MAX_WEIGHTS = 256 * 2**20
MAX_JSON = 2**20
"""Bytes of a file."""


class CheckpointError(ValueError):
    """A checkpoint cannot be read; the message names the file and what is wrong with it."""


class PretrainedMixin:
    """`save_pretrained` and `from_pretrained` for a torch module built from an EmbeddedConfig."""

    config: EmbeddedConfig

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the configuration and the weights; the folder is made if it is missing."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.config.to_dict(), indent=1) + "\n"
        (folder / CONFIG_FILE).write_text(text, encoding="utf-8")
        state = {name: value.contiguous() for name, value in self.state_dict().items()}
        save_file(state, folder / WEIGHTS_FILE)

    @classmethod
    def from_pretrained(cls, checkpoint: str | Path) -> Self:
        """Read one member.

        Args:
            checkpoint: a folder, or a model hub's "owner/name" (needs huggingface_hub).

        Raises:
            BackendError: there is neither.
            CheckpointError: a file is missing or does not fit.
        """
        folder = resolve(str(checkpoint), "embedded")
        content = read_json(folder / CONFIG_FILE)
        weights = folder / WEIGHTS_FILE
        try:
            config = EmbeddedConfig.from_dict(content)
        except ValueError as error:
            raise CheckpointError(f"{folder / CONFIG_FILE}: {error}") from error
        try:
            tensors = load(read_bounded(weights, MAX_WEIGHTS))
            with torch.device("meta"):  # nothing is allocated for sizes that the file does not have
                wanted = cls(config).state_dict()
            if odd := wanted.keys() ^ tensors.keys():
                raise ValueError(f"tensor {reprlib.repr(min(odd))} is missing or not of this kind")
            for name, tensor in tensors.items():
                if tensor.shape != wanted[name].shape or not tensor.is_floating_point():
                    raise ValueError(
                        f"tensor '{name}' is {tensor.dtype} {tuple(tensor.shape)}, {CONFIG_FILE} "
                        f"asks for {tuple(wanted[name].shape)}"
                    )
                if not torch.isfinite(tensor).all():
                    raise ValueError(f"tensor '{name}' holds a number that is not finite")
        except (ValueError, SafetensorError) as error:
            raise CheckpointError(f"{weights}: {error}") from error
        network = cls(config)
        network.load_state_dict(tensors)
        return network


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        CheckpointError: it is missing or none.
    """
    try:
        value = json.loads(read_bounded(path, MAX_JSON))
    except PathError as error:
        raise CheckpointError(str(error)) from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: expected a JSON object")
    return value
