# SPDX-License-Identifier: Apache-2.0
"""ros2 run salus_predictor_node ablate: what a predictor loses without some of its inputs."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import warnings
from pathlib import Path

import numpy as np
import torch

from salus_core.baselines import make_baselines
from salus_core.commands.boundary import command, require_folder, written
from salus_core.commands.evaluate import (
    ALWAYS,
    add_figure_options,
    settings_of,
)
from salus_core.commands.train import read_settings
from salus_core.data import StepData
from salus_core.data.describing import describe
from salus_core.predictors.checkpoint import load_checkpoint
from salus_core.predictors.model import NeuralPredictor
from salus_core.predictors.registry import KINDS as PREDICTORS
from salus_core.predictors.settings import RenamedSetting
from salus_core.predictors.training.configuration import RunSettings
from salus_core.predictors.training.finish import (
    CHECKPOINT,
    splits_entry,
    train_and_calibrate,
)
from salus_core.predictors.training.identity import comparable, data_digest
from salus_core.predictors.training.processes import processes
from salus_core.report.assess import (
    Assessed,
    Settings,
    assess,
    fitted_baselines,
)
from salus_core.report.comparison import Comparison
from salus_core.report.sources import (
    ROLES,
    Parts,
    SourceError,
    add_source_options,
    read_parts,
)
from salus_core.report.variants import KINDS, Variant, variants

NAME = "ablation"


@command("ablate", "the same call goes on from the rows that are finished")
def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    options = _parser().parse_args(argv)
    warnings.simplefilter("default", RenamedSetting)
    require_folder(options.output)
    study = ablate(options)
    print(written(study, options.output, NAME))
    for sentence in study.warnings():
        print(f"WARNING: {sentence}", file=sys.stderr)
    print(f"{options.output}/{NAME}.md, {NAME}.json")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ablate",
        description="Train a predictor again without some of its inputs; see docs/evaluation.md. "
        "A second call with the same output goes on where the first one stopped.",
    )
    parser.add_argument("settings", help=f"YAML file, or a predictor: {', '.join(PREDICTORS)}")
    parser.add_argument(
        "assignments", nargs="*", metavar="KEY=VALUE", help="settings that replace the file's"
    )
    parser.add_argument(
        "--studies",
        nargs="+",
        choices=KINDS,
        default=KINDS,
        help=f"some of {', '.join(KINDS)}; default: all",
    )
    add_source_options(parser)
    add_figure_options(parser)
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("ablation"),
        metavar="DIR",
        help="folder of the tables and of a checkpoint per row; default: ablation",
    )
    return parser


def ablate(options: argparse.Namespace) -> Comparison:
    """Train and assess every variant."""
    figures = settings_of(options)
    base = read_settings(options.settings, options.assignments)
    ensemble = "ensemble" in options.studies
    base = _with_sources(base, options)
    parts = read_parts(
        options,
        dataclasses.asdict(base.data),
        chunks=ensemble,
        scene=base.training.reads_scene or "privileged" in options.studies,
    )
    for name in ("train", "validation"):
        if getattr(parts, name) is None:
            raise SourceError(f"an ablation needs the split '{name}'")
    members = 0 if parts.train.chunk is None else parts.train.chunk.shape[1]
    studies = tuple(options.studies)
    if parts.train.scene is None or not np.isfinite(parts.train.scene).any():
        studies = tuple(study for study in studies if study != "privileged")
    rows = list(variants(base, studies, members))
    torch.set_num_threads(base.training.threads)
    methods = []
    for number, variant in enumerate(rows):
        print(f"{number + 1} of {len(rows)}: {variant.name}", file=sys.stderr, flush=True)
        methods.append(_row(variant, parts, options.output, figures))
    baselines, remarks = fitted_baselines(make_baselines(ALWAYS), parts, figures)
    methods += [assess(baseline, parts, figures) for baseline in baselines]
    if ensemble and members:
        remarks.append(
            "Rows 'N members': latents, spread, epistemic uncertainty and temporal consistency are "
            "those of the first N members; signals of the whole ensemble that cannot be computed "
            "again without the policy are not valid in any of these rows."
        )
    if "privileged" in studies:
        remarks.append(
            "The row 'true scene instead of the latent' reads the simulator's ground truth: what "
            "could be foretold if the scene were known, which no predictor of a real robot reads."
        )
    elif "privileged" in options.studies:
        remarks.append("No row 'true scene': the runs hold no ground truth of the scene.")
    return Comparison(
        title=f"Ablation of '{base.predictor}'",
        about={
            "settings": " ".join([options.settings, *options.assignments]),
            "split": options.split,
            "alpha": figures.alpha,
            "replicates": figures.replicates,
        },
        parts=parts,
        described={name: describe(data) for name, data in parts.items()},
        methods=methods,
        remarks=remarks,
    )


def _with_sources(settings: RunSettings, options: argparse.Namespace) -> RunSettings:
    """Settings that say what is read, so that the checkpoints do."""
    given = {"runs": options.runs and tuple(options.runs), "splits": options.splits}
    given = {name: value for name, value in given.items() if value}
    return dataclasses.replace(settings, data=dataclasses.replace(settings.data, **given))


def _row(variant: Variant, parts: Parts, output: Path, figures: Settings) -> Assessed:
    changed = parts if variant.change is None else _change(parts, variant)
    folder = output / variant.name.replace(" ", "_")
    settings = dataclasses.replace(variant.settings, output=str(folder))
    predictor = _trained(settings, changed)
    return assess(predictor, changed, figures, None, predictor.band, variant.name)


def _change(parts: Parts, variant: Variant) -> Parts:
    def change(data: StepData | None) -> StepData | None:
        return None if data is None else variant.change(data)

    return Parts(
        test=change(parts.test),
        train=change(parts.train),
        validation=change(parts.validation),
        calibration=change(parts.calibration),
        held_out={name: change(data) for name, data in parts.held_out.items()},
        by_fraction=parts.by_fraction,
    )


def _trained(settings: RunSettings, parts: Parts) -> NeuralPredictor:
    """Train, calibrate and save, unless the checkpoint is there, of the same settings and data."""
    folder = Path(settings.output) / CHECKPOINT
    wanted = comparable(settings)
    data = {role: data_digest(getattr(parts, role)) for role in ROLES}
    if folder.exists():
        predictor, manifest = load_checkpoint(folder)
        if comparable(manifest["training"]["settings"]) != wanted:
            raise SourceError(
                f"{folder} was trained with other settings: choose another --output, or remove it"
            )
        if manifest["training"].get("data_sha256") != data:
            raise SourceError(
                f"{folder} was trained on other episodes: choose another --output, or remove it"
            )
        return predictor
    about: dict[str, object] = {"training": {"data_sha256": data}}
    if parts.by_fraction:
        about["splits"] = splits_entry(parts.by_fraction)
    with processes(settings.training.device) as workers:
        predictor, _ = train_and_calibrate(
            settings, parts.train, parts.validation, parts.calibration, workers, about=about
        )
    return predictor


if __name__ == "__main__":
    raise SystemExit(main())
