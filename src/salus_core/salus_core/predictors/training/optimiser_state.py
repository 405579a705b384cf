"""State of a training run on disk, to resume from: safetensors and JSON, no pickles."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from salus_core.predictors.checkpoint import CheckpointError, write_json

_TENSORS = "training_state.safetensors"
_NUMBERS = "training_state.json"


def save_state(folder: Path, optimiser: torch.optim.Optimizer, numbers: dict[str, Any]) -> None:
    """Write the optimiser's tensors and further numbers into a checkpoint's folder."""
    state = optimiser.state_dict()
    tensors = {
        f"{index}.{name}": value.detach().cpu().contiguous()
        for index, values in state["state"].items()
        for name, value in values.items()
        if isinstance(value, torch.Tensor)
    }
    part = folder / f".{_TENSORS}.part"
    save_file(tensors, part)
    os.replace(part, folder / _TENSORS)
    groups = [
        {k: v for k, v in group.items() if isinstance(v, int | float | bool | list | tuple)}
        for group in state["param_groups"]
    ]
    write_json(folder / _NUMBERS, {**numbers, "param_groups": groups})


def load_state(folder: Path, optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """Bring an optimiser back; returns the further numbers.

    Raises:
        CheckpointError: there is no state in the folder.
    """
    try:
        numbers = json.loads((folder / _NUMBERS).read_text())
        tensors = load_file(folder / _TENSORS)
    except OSError as error:
        raise CheckpointError(f"{folder} holds no state to resume from: {error}") from error
    values: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        index, name = key.split(".", 1)
        values.setdefault(int(index), {})[name] = tensor
    present = optimiser.state_dict()
    groups = [
        {**now, **saved}
        for now, saved in zip(present["param_groups"], numbers.pop("param_groups"), strict=True)
    ]
    for group in groups:
        if "betas" in group:
            group["betas"] = tuple(group["betas"])
    optimiser.load_state_dict({"state": values, "param_groups": groups})
    return numbers
