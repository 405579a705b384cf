# SPDX-License-Identifier: Apache-2.0
"""ros2 run salus_predictor_node train: a predictor from recorded runs, to a checkpoint."""

from __future__ import annotations

import argparse
import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from salus_core.commands.boundary import command, require_folder
from salus_core.data import (
    Part,
    Split,
    SplitError,
    StepData,
    load_splits,
    parts_by_fraction,
    read_steps,
)
from salus_core.data.describing import describe
from salus_core.data.fractions import BY_FRACTION
from salus_core.predictors.registry import KINDS, kind_of
from salus_core.predictors.settings import RenamedSetting, SettingsError, load_yaml, override
from salus_core.predictors.training.configuration import DataSettings, RunSettings
from salus_core.predictors.training.cross_figures import curve_fractions, verdict
from salus_core.predictors.training.finish import (
    CHECKPOINT,
    cross_validate_and_save,
    splits_entry,
    train_and_calibrate,
    undefined_cases,
)
from salus_core.predictors.training.processes import Processes, processes

NO_RUNS = "data.runs is empty: name the runs, as in data.runs='[data/*]'"


@command("train", "--resume goes on from the last epoch")
def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    options = _parser().parse_args(argv)
    warnings.simplefilter("default", RenamedSetting)
    settings = read_settings(options.settings, options.assignments)
    require_folder(settings.output, "output")
    with processes(settings.training.device) as workers:
        torch.set_num_threads(settings.training.threads)
        train(settings, workers, options.resume)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="train",
        description="Train a failure predictor on recorded runs; see docs/predictor.md.",
        epilog="Example: train temporal data.runs='[data/train/*]' training.epochs=20",
    )
    parser.add_argument("settings", help=f"YAML file, or a predictor: {', '.join(KINDS)}")
    parser.add_argument(
        "assignments", nargs="*", metavar="KEY=VALUE", help="settings that replace the file's"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on from OUTPUT/last with the same settings"
    )
    return parser


def read_settings(name: str, assignments: list[str]) -> RunSettings:
    """Settings of a YAML file or of a predictor's name, with overrides.

    Raises:
        SettingsError: a setting is unknown or unusable.
    """
    content = {"predictor": name} if name in KINDS else load_yaml(name)
    return RunSettings.from_mapping(override(content, assignments))


def train(settings: RunSettings, workers: Processes, resume: bool = False) -> Path | None:
    """Train, calibrate, save.

    Args:
        settings: of the run.
        workers: processes that train together.
        resume: go on from the checkpoint `last`.

    Returns:
        Folder of the finished checkpoint; None in all processes but the first.

    Raises:
        DataError, SplitError, InputError, CheckpointError, SettingsError: see main.
    """
    if kind_of(settings.predictor).cross_validated:
        return _train_on_all(settings, workers, resume)
    splits = splits_of(settings.data)
    data = read_data(settings, splits)
    about: dict[str, Any] = {}
    if settings.data.splits == BY_FRACTION:
        about["splits"] = splits_entry(splits)
    if workers.first:
        for name, part in data.items():
            print(f"{name}: {describe(part)['summary']}")
        if about:
            print(
                "The runs were split by fractions of their episodes; 'test' is kept for evaluate. "
                "data.splits=FILE names a table instead."
            )
        judged = {name: part for name, part in data.items() if name != "train"}
        for sentence in undefined_cases(judged):
            print(f"WARNING: {sentence}", file=sys.stderr)
    with _progress_of(settings, workers.first) as (progress, record):
        done = train_and_calibrate(
            settings,
            data["train"],
            data["validation"],
            data.get("calibration"),
            workers,
            resume=resume,
            about=about,
            progress=progress,
            record=record,
        )
    if done is None:
        return None
    predictor, manifest = done
    figures = ", ".join(f"{k} {v:.3f}" for k, v in manifest["metrics"]["validation"].items())
    folder = Path(settings.output) / CHECKPOINT
    print(f"{settings.predictor}, {predictor.parameters} parameters; validation: {figures}")
    print(f"checkpoint: {folder}")
    return folder


def _train_on_all(settings: RunSettings, workers: Processes, resume: bool) -> Path:
    """Train a predictor that learns from every episode, and say what it is worth.

    Raises:
        SettingsError: --resume or several processes, which it does not know.
        DataError, SplitError, InputError: see `cross_validate_and_save`.
    """
    if resume or workers.world > 1:
        raise SettingsError(
            f"'{settings.predictor}' trains within minutes and in one process: leave --resume and "
            "torchrun out"
        )
    parts = _splits(settings.data, [settings.data.train])
    data = _read_part(settings, parts, "train")
    print(f"{describe(data)['summary']}")
    print("All of them are learned from; each is judged by a member that did not see it.")
    members = settings.network_config().members
    trainings = 2 + len(curve_fractions(len(data.episodes)))
    with tqdm(total=members * trainings, unit="member", mininterval=1.0) as bar:
        predictor, manifest = cross_validate_and_save(
            settings,
            data,
            workers,
            {"splits": splits_entry(parts)} if settings.data.splits == BY_FRACTION else {},
            progress=lambda: _advance(bar),
        )
    print(verdict(manifest["cross_validation"], settings.calibration.alpha))
    folder = Path(settings.output) / CHECKPOINT
    print(f"checkpoint: {folder} ({predictor.parameters} parameters)")
    return folder


def splits_of(given: DataSettings) -> dict[str, Split] | dict[str, Part]:
    """The splits that a run's settings name: of a table, or by fraction.

    Raises:
        SplitError, NotARunError, SettingsError: there is no such table, split or run.
    """
    names = [name for name in (given.train, given.validation, given.calibration) if name]
    if len(set(names)) < len(names):
        raise SettingsError(
            "data.train, data.validation and data.calibration must be different splits, got "
            f"{', '.join(names)}: what is calibrated on seen episodes promises nothing"
        )
    return _splits(given, [*names, "test"])


def _splits(given: DataSettings, names: list[str]) -> dict[str, Split] | dict[str, Part]:
    if given.splits != BY_FRACTION:
        return load_splits(given.splits)
    if not given.runs:
        raise SettingsError(NO_RUNS)
    return parts_by_fraction(given.runs, names)


def _advance(bar: tqdm) -> None:
    bar.update()


def read_data(settings: RunSettings, splits: Mapping[str, Split | Part]) -> dict[str, StepData]:
    """Data of training, validation and, unless it is left out, calibration.

    Raises:
        DataError, SplitError, NotARunError: there are no such runs, splits or episodes.
        SettingsError: no runs are named.
    """
    roles = ["train", "validation"] + ["calibration"] * bool(settings.data.calibration)
    return {role: _read_part(settings, splits, role) for role in roles}


def _read_part(settings: RunSettings, splits: Mapping[str, Split | Part], role: str) -> StepData:
    given = settings.data
    name = getattr(given, role)
    if name not in splits:
        raise SplitError(f"{given.splits} has no split '{name}': use {', '.join(splits)}")
    split = splits[name]
    if not (split.runs or given.runs):
        raise SettingsError(NO_RUNS)
    return read_steps(
        split.runs or given.runs,
        split,
        scene=role != "calibration" and settings.training.reads_scene,
        limit=given.limit if role == "train" and given.limit else None,
        horizons=given.horizons,
    )


@contextlib.contextmanager
def _progress_of(
    settings: RunSettings, shown: bool
) -> Iterator[tuple[Callable[[float, float], None], Callable[[Mapping[str, float]], None]]]:
    """A progress bar over the epochs and a line of figures after each; TensorBoard if wanted."""
    events = _event_writer(settings) if shown and settings.training.tensorboard else None
    done = 0
    with tqdm(
        total=settings.training.epochs, unit="epoch", disable=not shown, mininterval=1.0
    ) as bar:

        def progress(share: float, loss: float) -> None:
            bar.n = done + share
            bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
            bar.update(0)

        def record(figures: Mapping[str, float]) -> None:
            nonlocal done
            epoch = int(figures["epoch"])
            done = epoch + 1
            named = {name: value for name, value in figures.items() if name != "epoch"}
            bar.write(f"epoch {epoch}: {' '.join(f'{k} {v:.4g}' for k, v in named.items())}")
            if events is not None:
                for name, value in named.items():
                    events.add_scalar(name, value, epoch)

        try:
            yield progress, record
        finally:
            if events is not None:
                events.close()


def _event_writer(settings: RunSettings) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise SettingsError(
            "training.tensorboard needs the package tensorboard: pip install tensorboard"
        ) from error
    return SummaryWriter(str(Path(settings.output) / "tensorboard"))


if __name__ == "__main__":
    raise SystemExit(main())
