# SPDX-License-Identifier: Apache-2.0
"""A predictor on disk: a folder with weights (safetensors) and a manifest (JSON), no pickles."""

from __future__ import annotations

import hashlib
import json
import os
import reprlib
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file

from salus_core.predictors.features import InputLayout, StepInputs
from salus_core.predictors.manifest import (
    FORMAT,
    MANIFEST,
    CheckpointError,
    Parts,
    checked_parts,
    checkpoint_hash,
    one_line,
    read_file,
    read_manifest,
)
from salus_core.predictors.model import NeuralPredictor
from salus_core.predictors.normaliser import Normaliser

WEIGHTS = "weights.safetensors"
MAX_WEIGHTS = 256 * 2**20
"""Bytes of a weights file; the shipped one has 1.0 MB."""
_NORMALISER = "normaliser."
_NETWORK = "network."


def save_checkpoint(
    predictor: NeuralPredictor, folder: Path | str, about: Mapping[str, Any] | None = None
) -> Path:
    """Write a checkpoint; an older one in the folder is replaced.

    Args:
        predictor: gets its hashes.
        folder: made if it is not there.
        about: further entries of the manifest: `data`, `training`, `metrics`.

    Returns:
        The folder.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        _NETWORK + name: tensor.detach().cpu().float().contiguous()
        for name, tensor in predictor.network.state_dict().items()
    }
    for name, array in predictor.normaliser.arrays().items():
        tensors[_NORMALISER + name] = torch.from_numpy(np.ascontiguousarray(array))
    part = folder / f".{WEIGHTS}.part"
    save_file(tensors, part)
    with part.open("rb") as file:
        predictor.weights_hash = hashlib.file_digest(file, "sha256").hexdigest()
    os.replace(part, folder / WEIGHTS)
    manifest = {
        "format": FORMAT,
        **predictor.describe(),
        "weights_sha256": predictor.weights_hash,
        "calibration": None if predictor.calibration is None else predictor.calibration.to_dict(),
        "band": None if predictor.band is None else predictor.band.to_dict(),
        "drift": None if predictor.drift is None else predictor.drift.to_dict(),
        "code_version": _version(),
        "torch_version": torch.__version__,
        **(about or {}),
    }
    write_json(folder / MANIFEST, manifest)
    predictor.hash = checkpoint_hash(folder)
    return folder


def load_checkpoint(folder: Path | str) -> tuple[NeuralPredictor, dict[str, Any]]:
    """Read a checkpoint, and try the predictor on made-up steps.

    Args:
        folder: that holds it, or its manifest.

    Returns:
        The predictor on the CPU, in double precision and evaluation mode, and the manifest.

    Raises:
        CheckpointError: it is missing, damaged, of another version, out of bounds, or its forecasts
            of plausible steps are no probabilities; the message says which and why.
    """
    folder = Path(folder).expanduser()
    if folder.name == MANIFEST:
        folder = folder.parent
    manifest = read_manifest(folder)
    path = folder / WEIGHTS
    content = read_file(path, MAX_WEIGHTS)
    if hashlib.sha256(content).hexdigest() != manifest.weights_sha256:
        raise CheckpointError(f"{path} is not the file that {MANIFEST} was written for")
    try:
        parts = checked_parts(manifest.content)
    except ValueError as error:
        raise CheckpointError(f"{folder / MANIFEST} cannot be used: {one_line(error)}") from error
    try:
        predictor = _build(parts, load(content))
        _try(predictor)
    except (SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be used: {one_line(error)}") from error
    predictor.hash = manifest.identity
    predictor.weights_hash = manifest.weights_sha256
    return predictor, manifest.content


def write_json(path: Path, content: Any) -> None:
    """Write JSON whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(content, indent=1, default=_plain) + "\n", encoding="utf-8")
    os.replace(part, path)


def _build(parts: Parts, tensors: Mapping[str, torch.Tensor]) -> NeuralPredictor:
    """The predictor of a manifest with its weights.

    Raises:
        ValueError: a tensor is missing, too many, of another shape or type, or not finite.
    """
    shapes = _normaliser_shapes(parts.layout)
    # On "meta" nothing is allocated: sizes in a manifest alone take no memory.
    with torch.device("meta"):
        predictor = NeuralPredictor(
            parts.predictor,
            parts.config,
            parts.layout,
            Normaliser.from_arrays({name: np.zeros(0) for name in shapes}),
            parts.source,
            parts.scene,
        )
    wanted = {
        _NETWORK + name: tuple(tensor.shape)
        for name, tensor in predictor.network.state_dict().items()
    }
    wanted |= {_NORMALISER + k: v for k, v in shapes.items()}
    if odd := wanted.keys() ^ tensors.keys():
        name = min(odd)
        raise ValueError(
            f"tensor {reprlib.repr(name)} is {'missing' if name in wanted else 'not of this kind'}"
        )
    for name, shape in wanted.items():
        tensor = tensors[name]
        if tuple(tensor.shape) != shape or tensor.dtype != torch.float32:
            raise ValueError(
                f"tensor '{name}' is {tensor.dtype} {tuple(tensor.shape)}, {MANIFEST} asks for "
                f"torch.float32 {shape}"
            )
        if not torch.isfinite(tensor).all():
            raise ValueError(f"tensor '{name}' holds a number that is not finite")
    arrays = {k: tensors[_NORMALISER + k].numpy() for k in shapes}
    _check_normaliser(arrays)
    predictor.normaliser = Normaliser.from_arrays(arrays)
    predictor.network.load_state_dict(
        {
            name.removeprefix(_NETWORK): tensor
            for name, tensor in tensors.items()
            if name.startswith(_NETWORK)
        },
        assign=True,
    )
    predictor.network.double().eval().requires_grad_(False)
    predictor.calibration, predictor.band, predictor.drift = (
        parts.calibration,
        parts.band,
        parts.drift,
    )
    if parts.alarm_types is not None:
        predictor.alarm_types = parts.alarm_types
    return predictor


def _normaliser_shapes(layout: InputLayout) -> dict[str, tuple[int, ...]]:
    """Shapes of the normaliser's arrays by name."""
    columns, embedding = (len(layout.columns),), (layout.embedding_size,)
    return {
        "unit": columns,
        "mean": columns,
        "scale": columns,
        "embedding_mean": embedding,
        "embedding_scale": embedding,
    }


def _check_normaliser(arrays: Mapping[str, np.ndarray]) -> None:
    """Check that a normaliser's units are none or positive, and its scales positive.

    Raises:
        ValueError: one is not; names the array.
    """
    for name, array in arrays.items():
        low = {"unit": 0.0, "scale": 1e-30, "embedding_scale": 1e-30}.get(name, -np.inf)
        if (array < low).any():
            raise ValueError(f"normaliser.{name} holds {array.min():g}, must be at least {low:g}")


def _try(predictor: NeuralPredictor) -> None:
    """Forecast from a few plausible steps: of means, of random numbers, of nothing.

    Raises:
        ValueError: a forecast has another shape than declared, or is not finite.
    """
    random = np.random.default_rng(0)
    layout, stream = predictor.layout, predictor.stream()
    shape = (len(predictor.horizons), predictor.taxonomy.size) if predictor.gives_forecasts else ()
    for scale in (0.0, 1.0, np.nan):
        parts = {
            "signals": 12,
            "proprioception": len(layout.proprioception_names),
            "action": layout.action_size,
            "action_std": layout.action_size,
            "embedding": layout.embedding_size,
        }
        values = {k: (scale * random.random(v)).astype(np.float32) for k, v in parts.items()}
        found = stream.update(StepInputs(valid=np.full(12, np.isfinite(scale)), **values))
        if found.shape != shape:
            raise ValueError(f"a trial step gives numbers of shape {found.shape}, not {shape}")
        if not np.isfinite([*found.flat, stream.score]).all():
            raise ValueError("a trial step gives a number that is not finite")


def _version() -> str:
    try:
        return metadata.version("salus_core")
    except metadata.PackageNotFoundError:
        return "not installed"


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not JSON")
