# SPDX-License-Identifier: Apache-2.0
"""A training from its data to a calibrated checkpoint."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from salus_core.calibration.drift import DriftReference
from salus_core.data import DataError, Part, StepData
from salus_core.data.describing import describe
from salus_core.data.fractions import BY_FRACTION
from salus_core.predictors.checkpoint import load_checkpoint, save_checkpoint
from salus_core.predictors.model import NeuralPredictor
from salus_core.predictors.training.calibrating import calibrate, require_calibratable
from salus_core.predictors.training.configuration import RunSettings
from salus_core.predictors.training.cross_figures import cross_figures
from salus_core.predictors.training.cross_validation import cross_validate
from salus_core.predictors.training.processes import Processes
from salus_core.predictors.training.trainer import BEST, Trainer
from salus_core.predictors.training.validation import validation_figures
from salus_core.signals import SIGNAL_NAMES

CHECKPOINT = "checkpoint"
"""Folder below the output that a node loads."""


def train_and_calibrate(
    settings: RunSettings,
    train: StepData,
    validation: StepData,
    calibration: StepData | None,
    workers: Processes,
    *,
    resume: bool = False,
    about: Mapping[str, Any] | None = None,
    **hooks: Callable[..., None],
) -> tuple[NeuralPredictor, dict[str, Any]] | None:
    """Train a predictor, calibrate it, and save it below the settings' output.

    Args:
        settings: of the run.
        train: steps to learn from.
        validation: steps to choose the best epoch by.
        calibration: steps of calibration and band; None: neither is made.
        workers: processes that train together.
        resume: go on from the checkpoint `last`.
        about: further entries of the manifest; those of "training" join what is there.
        hooks: `progress` and `record` of Trainer.

    Returns:
        The predictor and its manifest; None in all processes but the first.

    Raises:
        DataError: before training: nothing can be learned, or too few episodes for the band;
            after it: the predictor cannot be calibrated, the message says where it is kept.
        InputError, MismatchError, CheckpointError: see Trainer.
    """
    if not train.episodes.failed.any():
        raise DataError(
            f"none of the {len(train.episodes)} training episodes failed: there is no failure to "
            "learn; record episodes that fail, or check that their ends were recorded"
        )
    if not train.episodes.succeeded.any():
        raise DataError(
            f"none of the {len(train.episodes)} training episodes succeeded: nothing tells failure "
            "from success; record episodes that succeed, or check that their ends were recorded"
        )
    trainer = Trainer(settings, train, validation, workers, **hooks)
    if calibration is not None:
        require_calibratable(trainer.predictor, calibration, settings.calibration)
    if resume:
        trainer.require_resumable()
    output = Path(settings.output)
    if workers.first:
        output.mkdir(parents=True, exist_ok=True)
        (output / "config.yaml").write_text(settings_text(settings), encoding="utf-8")
    trainer.run(resume)
    if not workers.first:
        return None
    predictor, manifest = load_checkpoint(output / BEST)
    parts = {"train": train, "validation": validation, "calibration": calibration}
    about = dict(about or {})
    manifest = {
        "metrics": {"validation": validation_figures(predictor.raw_scores(validation), validation)},
        "data": {name: describe(part) for name, part in parts.items() if part is not None},
        **about,
        "training": {
            **manifest["training"],
            "settings": dataclasses.asdict(settings),
            **about.get("training", {}),
        },
    }
    if calibration is not None and predictor.gives_forecasts:
        try:
            manifest["calibrated"] = calibrate(predictor, calibration, settings.calibration)
        except ValueError as error:
            raise DataError(
                f"the predictor is trained, but cannot be calibrated: {error}; it is kept in "
                f"{output / BEST}: mend what this says and go on with --resume, which trains "
                "nothing again"
            ) from error
    save_checkpoint(predictor, output / CHECKPOINT, manifest)
    return predictor, manifest


def cross_validate_and_save(
    settings: RunSettings,
    data: StepData,
    workers: Processes,
    about: Mapping[str, Any],
    progress: Callable[[], None] = lambda: None,
) -> tuple[NeuralPredictor, dict[str, Any]]:
    """Train a predictor that learns from all episodes, and save it below the settings' output.

    Args:
        settings: of the run.
        data: every episode that there is to learn from.
        workers: whose device is used; one process.
        about: further entries of the manifest.
        progress: called after each member, also of the trainings that only figures need.

    Returns:
        The predictor and its manifest.

    Raises:
        DataError, InputError: too few episodes, or they lack an input.
    """
    found = cross_validate(settings, data, workers.device, progress)
    predictor = found.predictor
    predictor.drift = DriftReference.fit(data.signals, data.episode, SIGNAL_NAMES)
    manifest = {
        "data": {"train": describe(data)},
        "cross_validation": cross_figures(settings, data, found, workers.device, progress),
        "training": {"settings": dataclasses.asdict(settings)},
        **about,
    }
    output = Path(settings.output)
    output.mkdir(parents=True, exist_ok=True)
    (output / "config.yaml").write_text(settings_text(settings), encoding="utf-8")
    save_checkpoint(predictor, output / CHECKPOINT, manifest)
    return predictor, manifest


def splits_entry(parts: Mapping[str, Part]) -> dict[str, Any]:
    """Which episodes each part of splits by fraction holds, for the manifest."""
    return {
        "by": BY_FRACTION,
        "parts": {name: sorted(part.groups) for name, part in parts.items()},
    }


def undefined_cases(data: Mapping[str, StepData]) -> list[str]:
    """Sentences about figures that a training will not have, said before it begins."""
    said = []
    for name, part in data.items():
        for kind, those in (
            ("succeeded", part.episodes.succeeded),
            ("failed", part.episodes.failed),
        ):
            if not np.any(those):
                said.append(
                    f"no {name} episode {kind}: figures and choices that need one are not defined"
                )
    return said


def settings_text(settings: RunSettings) -> str:
    """Settings as YAML that `train` reads again."""
    return yaml.safe_dump(_plain(dataclasses.asdict(settings)), sort_keys=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value
