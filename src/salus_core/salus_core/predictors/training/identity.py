# SPDX-License-Identifier: Apache-2.0
"""What a training run is made of, to tell it from others."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import numpy as np

from salus_core.data.step_data import StepData
from salus_core.predictors.training.configuration import RunSettings

HOW_LONG = ("epochs", "stop_patience", "keep_every", "tensorboard", "threads", "device")
"""Settings of training with which a run may go on as it likes."""


def comparable(settings: RunSettings | dict[str, Any]) -> dict[str, Any]:
    """Settings that decide what is trained, as JSON would give them back."""
    given = settings if isinstance(settings, dict) else dataclasses.asdict(settings)
    return _lists({k: v for k, v in given.items() if k not in ("output", "data")})


def data_digest(data: StepData | None) -> str:
    """Hash over the episodes and what became of them; empty: there is none."""
    if data is None:
        return ""
    table = data.episodes
    found = hashlib.sha256()
    for array in (table.seed, table.length, table.outcome, table.failure, table.onset_step):
        found.update(np.ascontiguousarray(array).tobytes())
    found.update(np.ascontiguousarray(data.signals).tobytes())
    return found.hexdigest()


def made_of(settings: RunSettings, train: StepData, validation: StepData) -> dict[str, Any]:
    """What a run that goes on must share with the one that began: name -> value."""
    found = comparable(settings)
    del found["calibration"]  # comes after training, which must not be lost for it
    training = {k: v for k, v in found.pop("training").items() if k not in HOW_LONG}
    parts = {
        "training episodes": data_digest(train),
        "validation episodes": data_digest(validation),
    }
    parts |= {"horizons": list(train.horizons), "failure types": list(train.taxonomy.names)}
    return {**found, **{f"training.{k}": v for k, v in training.items()}, **parts}


def _lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _lists(entry) for key, entry in value.items()}
    return [_lists(entry) for entry in value] if isinstance(value, list | tuple) else value
