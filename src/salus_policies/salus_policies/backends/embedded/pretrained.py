# SPDX-License-Identifier: Apache-2.0
"""One member on disk in Hugging Face form: config.json and model.safetensors, never a pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from salus_policies.backends.checkpoints import resolve
from salus_policies.backends.embedded.config import EmbeddedConfig

CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"


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
        config = read_json(folder / CONFIG_FILE)
        try:
            network = cls(EmbeddedConfig.from_dict(config))
        except TypeError as error:
            raise CheckpointError(f"{folder / CONFIG_FILE}: {error}") from error
        weights = folder / WEIGHTS_FILE
        try:
            network.load_state_dict(load_file(weights))
        except (OSError, SafetensorError, RuntimeError) as error:
            raise CheckpointError(f"{weights}: {error}") from error
        return network


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        CheckpointError: it is missing or none.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise CheckpointError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: expected a JSON object")
    return value
