# SPDX-License-Identifier: Apache-2.0
"""ros2 run salus_predictor_node evaluate: what a checkpoint's forecasts are worth."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from salus_core.baselines import make_baselines
from salus_core.calibration import ConformalBand
from salus_core.commands.boundary import command, require_folder, written
from salus_core.data.describing import describe
from salus_core.evaluation import all_pairs
from salus_core.predictors.checkpoint import load_checkpoint
from salus_core.predictors.interface import Predictor
from salus_core.predictors.model import NeuralPredictor
from salus_core.report.assess import Settings, assess, fitted_baselines
from salus_core.report.document import Report
from salus_core.report.inputs import add_input_options, checked_parts
from salus_core.report.sources import (
    Parts,
    SourceError,
    add_source_options,
    data_settings,
    overlaps,
    read_parts,
)

ALWAYS = ("clock", "fitted_clock", "random", "proprioception")
"""Baselines of every report."""


@command("evaluate")
def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    options = _parser().parse_args(argv)
    output = options.output or Path(options.checkpoint) / f"evaluation_{options.split}"
    predictor, manifest = load_checkpoint(options.checkpoint)
    require_folder(output)
    parts = read_parts(options, data_settings(manifest), horizons=predictor.horizons)
    parts = checked_parts(predictor, parts, options.allow_missing, options.allow_unchecked_policy)
    about = {
        "checkpoint": str(options.checkpoint),
        "predictor": predictor.name,
        "weights": predictor.hash,
        "split": options.split,
    }
    cautions = overlaps(manifest, parts, str(options.checkpoint))
    report = evaluate(predictor, parts, settings_of(options, predictor), about, cautions=cautions)
    print(written(report, output))
    for sentence in report.warnings():
        print(f"WARNING: {sentence}", file=sys.stderr)
    print(f"{output}/report.md, metrics.json")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="evaluate",
        description="Figures of a checkpoint on recorded episodes; see docs/evaluation.md.",
    )
    parser.add_argument("checkpoint", type=Path, help="folder of a checkpoint")
    add_source_options(parser)
    add_figure_options(parser)
    add_input_options(parser)
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="folder of the report; default: CHECKPOINT/evaluation_SPLIT",
    )
    return parser


def add_figure_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how figures are made."""
    default = Settings()
    parser.add_argument(
        "--alpha",
        type=float,
        help="false-alarm rate per successful episode of alarms; default: the checkpoint's, of "
        f"several {default.alpha}",
    )
    parser.add_argument(
        "--replicates",
        type=int,
        default=default.replicates,
        help=f"resamples of the bootstrap; default: {default.replicates}",
    )


def settings_of(options: argparse.Namespace, predictor: NeuralPredictor | None = None) -> Settings:
    """How figures are made.

    Args:
        options: of `add_figure_options`.
        predictor: whose band's false-alarm rate is taken where the options name none; baselines
            get a band of the same shape.

    Raises:
        SourceError: an option is out of range.
    """
    band = None if predictor is None else predictor.band
    alpha = options.alpha
    if alpha is None:
        alpha = Settings.alpha if band is None else band.alpha
    if not 0.0 < alpha < 1.0:
        raise SourceError(f"--alpha must lie between 0 and 1, got {alpha}")
    if options.replicates < 2:
        raise SourceError(f"--replicates must be at least 2, got {options.replicates}")
    shape = band.shape if isinstance(band, ConformalBand) else Settings.shape
    return Settings(alpha=alpha, replicates=options.replicates, shape=shape)


def evaluate(
    predictor: NeuralPredictor,
    parts: Parts,
    settings: Settings,
    about: dict[str, object],
    scorer: Predictor | None = None,
    cautions: Sequence[str] = (),
) -> Report:
    """Compute all figures of a checkpoint and of the baselines that every report has.

    Args:
        predictor: of the checkpoint.
        parts: of the data.
        settings: of figures.
        about: entries for the report's head.
        scorer: gives the predictor's scores in another way; None: in batches.
        cautions: what a reader must know before any figure.
    """
    baselines, left_out = fitted_baselines(make_baselines(ALWAYS), parts, settings)
    method = assess(scorer or predictor, parts, settings, all_pairs(parts.test), predictor.band)
    others = [assess(baseline, parts, settings) for baseline in baselines]
    return Report(
        title=f"Evaluation of '{predictor.name}'",
        about={**about, "alpha": settings.alpha, "replicates": settings.replicates},
        parts=parts,
        described={name: describe(data) for name, data in parts.items()},
        methods=[method, *others],
        remarks=left_out,
        cautions=cautions,
    )


if __name__ == "__main__":
    raise SystemExit(main())
