# SPDX-License-Identifier: Apache-2.0
"""State of a training run on disk, to resume from: safetensors and JSON, no pickles."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from salus_core.predictors.checkpoint import CheckpointError, write_json

_TENSORS = "training_state.safetensors"
_NUMBERS = "training_state.json"
_LEARNER = "training_weights.safetensors"


def save_state(
    folder: Path,
    optimiser: torch.optim.Optimizer,
    numbers: dict[str, Any],
    learner: torch.nn.Module | None,
) -> None:
    """Write the optimiser's tensors and further numbers into a checkpoint's folder.

    Args:
        folder: of a checkpoint.
        optimiser: whose state is written.
        numbers: JSON values.
        learner: whose weights the optimiser changes, if they are not the checkpoint's.
    """
    if learner is not None:
        save_file(learner.state_dict(), folder / _LEARNER)
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


def put_in_place(part: Path, folder: Path) -> None:
    """Put a finished folder where an older one may be, so that what is read is all of one kind."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    part.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def load_numbers(folder: Path) -> dict[str, Any]:
    """Read the numbers of `save_state`.

    Raises:
        CheckpointError: there is no state in the folder.
    """
    try:
        return json.loads((folder / _NUMBERS).read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{folder} holds no state to resume from: {error}") from error


def load_learner(folder: Path) -> dict[str, torch.Tensor]:
    """Read the weights of the learner that `save_state` was given.

    Raises:
        CheckpointError: there are none in the folder.
    """
    try:
        return load_file(folder / _LEARNER)
    except OSError as error:
        raise CheckpointError(f"{folder} holds no weights to go on from: {error}") from error


def load_optimiser(
    folder: Path, optimiser: torch.optim.Optimizer, groups: list[dict[str, Any]]
) -> None:
    """Bring an optimiser back; `groups` is `param_groups` of the numbers.

    Raises:
        CheckpointError: there is no state in the folder.
    """
    try:
        tensors = load_file(folder / _TENSORS)
    except OSError as error:
        raise CheckpointError(f"{folder} holds no state to resume from: {error}") from error
    values: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        index, name = key.split(".", 1)
        values.setdefault(int(index), {})[name] = tensor
    present = optimiser.state_dict()
    merged = [{**now, **saved} for now, saved in zip(present["param_groups"], groups, strict=True)]
    for group in merged:
        if "betas" in group:
            group["betas"] = tuple(group["betas"])
    optimiser.load_state_dict({"state": values, "param_groups": merged})
