# SPDX-License-Identifier: Apache-2.0
"""A predictor on disk: a folder with weights (safetensors) and a manifest (JSON), no pickles."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from salus_core.actions import TOOL_MOTION
from salus_core.calibration.band import ConformalBand
from salus_core.calibration.drift import DriftReference
from salus_core.calibration.probabilities import calibration_from_dict
from salus_core.failures import FAILURE_NAMES, HORIZONS_S, RENAMED
from salus_core.predictors.features import InputLayout
from salus_core.predictors.model import NeuralPredictor, Source
from salus_core.predictors.normaliser import Normaliser
from salus_core.predictors.registry import kind_of
from salus_core.predictors.settings import build, current_names

FORMAT = 2
"""Of manifests that are written; format 1, which knew but one kind of action, is read, too."""
MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
_NORMALISER = "normaliser."
_NETWORK = "network."


class CheckpointError(ValueError):
    """A checkpoint cannot be used; the message says which and why."""


def save_checkpoint(
    predictor: NeuralPredictor, folder: Path | str, about: Mapping[str, Any] | None = None
) -> Path:
    """Write a checkpoint; an older one in the folder is replaced.

    Args:
        predictor: gets the hash of its weights.
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
    predictor.hash = _sha256(part)
    os.replace(part, folder / WEIGHTS)
    manifest = {
        "format": FORMAT,
        **predictor.describe(),
        "weights_sha256": predictor.hash,
        "calibration": None if predictor.calibration is None else predictor.calibration.to_dict(),
        "band": None if predictor.band is None else predictor.band.to_dict(),
        "drift": None if predictor.drift is None else predictor.drift.to_dict(),
        "code_version": _version(),
        "torch_version": torch.__version__,
        **(about or {}),
    }
    write_json(folder / MANIFEST, manifest)
    return folder


def load_checkpoint(folder: Path | str) -> tuple[NeuralPredictor, dict[str, Any]]:
    """Read a checkpoint.

    Args:
        folder: that holds it, or its manifest.

    Returns:
        The predictor on the CPU, in double precision and evaluation mode, and the manifest.

    Raises:
        CheckpointError: it is missing, damaged, or of another version; the message says which.
    """
    folder = Path(folder).expanduser()
    if folder.name == MANIFEST:
        folder = folder.parent
    manifest = read_manifest(folder)
    weights = folder / WEIGHTS
    try:
        if _sha256(weights) != manifest.get("weights_sha256"):
            raise CheckpointError(f"{weights} is not the file that {MANIFEST} was written for")
        tensors = load_file(weights)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{weights} cannot be read: {error}") from error
    try:
        predictor = _build(manifest, tensors)
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{folder / MANIFEST} cannot be used: {error}") from error
    predictor.hash = manifest["weights_sha256"]
    return predictor, manifest


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest alone.

    Raises:
        CheckpointError: it is missing, damaged, or of another version.
    """
    path = folder / MANIFEST
    if not folder.exists():
        raise CheckpointError(f"predictor checkpoint '{folder}' not found: no such folder")
    try:
        manifest = json.loads(path.read_text())
    except OSError as error:
        raise CheckpointError(f"{folder} is no predictor checkpoint: no {MANIFEST}") from error
    except ValueError as error:
        raise CheckpointError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(manifest, dict):
        raise CheckpointError(f"{path} is not a manifest: it holds no mapping")
    if manifest.get("format") == 1:
        return _named_as_now(_of_format_1(manifest, path))
    if manifest.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} has format {manifest.get('format')!r}, this program reads 1 and {FORMAT}"
        )
    return _named_as_now(manifest)


def _named_as_now(manifest: dict[str, Any]) -> dict[str, Any]:
    """A manifest with the present names of its settings."""
    found = current_names(manifest)
    training = found.get("training", {})
    if "settings" in training:
        found["training"] = {**training, "settings": current_names(training["settings"])}
    return found


def _of_format_1(manifest: dict[str, Any], path: Path) -> dict[str, Any]:
    """A manifest of format 1 as format 2 would have it: the horizons and types were always these.

    Raises:
        CheckpointError: they are others.
    """
    names = [RENAMED.get(name, name) for name in manifest.pop("failure_names", ())]
    horizons = manifest.pop("horizons", None)
    for name, found, ours in (
        ("horizons", horizons, list(HORIZONS_S)),
        ("failure_names", names, list(FAILURE_NAMES)),
    ):
        if found != ours:
            raise CheckpointError(f"{path}: {name} is {found}, but format 1 has {ours}")
    if not isinstance(manifest.get("source"), dict):
        raise CheckpointError(f"{path}: it does not say what the predictor was trained on: source")
    manifest["source"] |= {
        "horizons": horizons,
        "failure_names": names,
        "action_names": list(TOOL_MOTION.names),
        "action_kinds": [str(kind) for kind in TOOL_MOTION.kinds],
    }
    return manifest


def write_json(path: Path, content: Any) -> None:
    """Write JSON whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(content, indent=1, default=_plain) + "\n")
    os.replace(part, path)


def _build(manifest: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> NeuralPredictor:
    kind = kind_of(manifest["predictor"])
    layout = manifest["layout"]
    source = manifest["source"]
    predictor = NeuralPredictor(
        manifest["predictor"],
        build(kind.config, manifest["network"], "network"),
        InputLayout(**{k: tuple(v) if isinstance(v, list) else v for k, v in layout.items()}),
        Normaliser.from_arrays(
            {
                name.removeprefix(_NORMALISER): tensor.numpy()
                for name, tensor in tensors.items()
                if name.startswith(_NORMALISER)
            }
        ),
        Source(
            **{
                **{k: tuple(v) if isinstance(v, list) else v for k, v in source.items()},
                "policies": tuple(tuple(policy) for policy in source["policies"]),
            }
        ),
        manifest["scene"],
    )
    predictor.network.load_state_dict(
        {
            name.removeprefix(_NETWORK): tensor
            for name, tensor in tensors.items()
            if name.startswith(_NETWORK)
        }
    )
    predictor.network.double().eval().requires_grad_(False)
    if manifest["calibration"] is not None:
        predictor.calibration = calibration_from_dict(manifest["calibration"])
    if manifest["band"] is not None:
        predictor.band = ConformalBand.from_dict(manifest["band"])
    if manifest["drift"] is not None:
        predictor.drift = DriftReference.from_dict(manifest["drift"])
    return predictor


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _version() -> str:
    try:
        return metadata.version("salus_core")
    except metadata.PackageNotFoundError:
        return "not installed"


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not JSON")
