# SPDX-License-Identifier: Apache-2.0
"""ros2 run salus_predictor_node compare: predictors and baselines in one table."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from salus_core.baselines import BASELINES, make_baselines
from salus_core.commands.boundary import command, require_folder, written
from salus_core.commands.evaluate import (
    ALWAYS,
    add_figure_options,
    settings_of,
)
from salus_core.data.describing import describe
from salus_core.predictors.checkpoint import load_checkpoint
from salus_core.predictors.model import NeuralPredictor
from salus_core.report.assess import assess, fitted_baselines
from salus_core.report.comparison import Comparison
from salus_core.report.inputs import add_input_options, checked_parts
from salus_core.report.sources import (
    SourceError,
    add_source_options,
    data_settings,
    overlaps,
    read_parts,
)

NAME = "comparison"


@command("compare")
def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    options = _parser().parse_args(argv)
    require_folder(options.output)
    comparison = compare(options)
    print(written(comparison, options.output, NAME))
    for sentence in comparison.warnings():
        print(f"WARNING: {sentence}", file=sys.stderr)
    print(f"{options.output}/{NAME}.md, {NAME}.json")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="compare",
        description="Predictors and baselines on the same episodes; see docs/evaluation.md. All "
        "are compared with the first checkpoint, whose splits are read unless others are given.",
    )
    parser.add_argument("checkpoints", nargs="+", type=Path, metavar="CHECKPOINT")
    parser.add_argument(
        "--baselines",
        nargs="*",
        default=["all"],
        metavar="NAME",
        help=f"all (the default), or some of: {', '.join(BASELINES)}; always: {', '.join(ALWAYS)}",
    )
    add_source_options(parser)
    add_figure_options(parser)
    add_input_options(parser)
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("comparison"),
        metavar="DIR",
        help="folder of the tables; default: comparison",
    )
    return parser


def compare(options: argparse.Namespace) -> Comparison:
    """Assess all methods."""
    loaded = [load_checkpoint(path) for path in options.checkpoints]
    settings = settings_of(options, loaded[0][0])
    names = distinct_names([predictor for predictor, _ in loaded], options.checkpoints)
    chosen = list(BASELINES) if options.baselines == ["all"] else options.baselines
    # Without them no one could tell what the step number or the body alone explain.
    chosen = [*chosen, *(name for name in ALWAYS if name not in chosen)]
    try:
        baselines = make_baselines(chosen)
    except ValueError as error:
        raise SourceError(f"--baselines: {error}") from error
    chunks = any(baseline.needs_chunks for baseline in baselines)
    first, manifest = loaded[0]
    parts = read_parts(options, data_settings(manifest), chunks, horizons=first.horizons)
    allowed = options.allow_missing, options.allow_unchecked_policy
    checked = [checked_parts(predictor, parts, *allowed) for predictor, _ in loaded]
    methods = []
    with tqdm(total=len(loaded) + len(baselines), unit="method", mininterval=1.0) as bar:
        for (predictor, _), name, its in zip(loaded, names, checked, strict=True):
            methods.append(assess(predictor, its, settings, None, predictor.band, name))
            bar.update()
        remarks = []
        for baseline in baselines:
            fitted, left_out = fitted_baselines([baseline], parts, settings)
            remarks += left_out
            methods += [assess(one, parts, settings) for one in fitted]
            bar.update()
    return Comparison(
        title="Comparison of predictors and baselines",
        about={
            "checkpoints": ", ".join(str(path) for path in options.checkpoints),
            "split": options.split,
            "alpha": settings.alpha,
            "replicates": settings.replicates,
        },
        parts=parts,
        described={name: describe(data) for name, data in parts.items()},
        methods=methods,
        remarks=remarks,
        cautions=[
            sentence
            for (_, manifest), name in zip(loaded, names, strict=True)
            for sentence in overlaps(manifest, parts, f"'{name}'")
        ],
    )


def distinct_names(predictors: Sequence[NeuralPredictor], folders: Sequence[Path]) -> list[str]:
    """Names of the predictors' kinds; of two of a kind with the folder."""
    kinds = Counter(predictor.name for predictor in predictors)
    return [
        predictor.name if kinds[predictor.name] == 1 else f"{predictor.name} ({folder})"
        for predictor, folder in zip(predictors, folders, strict=True)
    ]


if __name__ == "__main__":
    raise SystemExit(main())
