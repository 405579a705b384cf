# SPDX-License-Identifier: Apache-2.0
"""salus improve: learn on from new runs, and swap the checkpoint only for a better one."""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from salus_core.commands.boundary import command
from salus_core.commands.train import train
from salus_core.data import StepData, read_steps
from salus_core.improvement.lineage import CURRENT, Lineage, LineageError
from salus_core.improvement.paired import compare
from salus_core.predictors.checkpoint import load_checkpoint
from salus_core.predictors.settings import override
from salus_core.predictors.training.configuration import RunSettings
from salus_core.predictors.training.identity import data_digest
from salus_core.predictors.training.processes import processes
from salus_core.report.sources import Parts, overlaps

DESCRIPTION = """\
Keeps the versions of a predictor in a folder. Trains a candidate on runs (intervened ones and an
operator's labels included: what an intervention may have changed is censored), compares it with the
version in use on the same test episodes, and puts it in the place only if it is better by a stated
margin. FOLDER/current is what a node's parameter `checkpoint` names."""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="salus improve", description=DESCRIPTION)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="of the versions")
    parser.add_argument("--init", type=Path, metavar="CHECKPOINT", help="begin with this one")
    parser.add_argument("--rollback", action="store_true", help="go back to the version before")
    parser.add_argument("--runs", nargs="+", metavar="RUN", help="to learn from: old and new ones")
    parser.add_argument("--candidate", type=Path, metavar="DIR", help="compare this checkpoint")
    parser.add_argument("--test", nargs="+", metavar="RUN", help="frozen: the same at each call")
    parser.add_argument(
        "--margin",
        type=float,
        default=0.0,
        metavar="M",
        help="the lower end of the 95 %% interval of the gain in ROC-AUC must exceed it; "
        "default: 0",
    )
    parser.add_argument(
        "--set",
        nargs="+",
        default=[],
        dest="settings",
        metavar="KEY=VALUE",
        help="of the training; those that the version in use was trained with are the default",
    )
    return parser.parse_args(arguments)


@command("improve")
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = parse(arguments)
    if options.init is not None:
        lineage = Lineage.begin(options.folder, options.init)
        print(f"{options.folder / CURRENT}: version {lineage.current.name}")
        return 0
    lineage = Lineage(options.folder)
    if options.rollback:
        before = lineage.current.name
        print(f"{options.folder / CURRENT}: back from {before} to {lineage.roll_back().name}")
        return 0
    if not options.test or bool(options.runs) == (options.candidate is not None):
        raise LineageError("give --test, and --runs to train on or a --candidate")
    test = _frozen_test(lineage, options.test)
    with tempfile.TemporaryDirectory() as made:
        candidate = options.candidate
        if candidate is None:
            candidate = _train(lineage, options, Path(made))
        return _judge(lineage, candidate, test, options.margin)


def _frozen_test(lineage: Lineage, runs: Sequence[str]) -> StepData:
    """The test's episodes.

    Raises:
        LineageError: they are not those that versions were compared on before.
    """
    current, _ = load_checkpoint(lineage.path(lineage.current))
    test = read_steps(runs, horizons=current.horizons)
    if lineage.test and data_digest(test) != lineage.test:
        raise LineageError(
            "--test holds other episodes than versions were compared on before: give the same "
            "runs, or begin another folder"
        )
    return test


def _train(lineage: Lineage, options: argparse.Namespace, folder: Path) -> Path:
    """Train with the settings of the version in use, on other runs."""
    _, manifest = load_checkpoint(lineage.path(lineage.current))
    content: dict[str, Any] = dict(manifest.get("training", {}).get("settings", {}))
    if not content:
        raise LineageError(
            f"version {lineage.current.name} does not say how it was trained: train a candidate "
            "with `salus train`, and give it with --candidate"
        )
    settings = RunSettings.from_mapping(override(content, options.settings))
    settings = dataclasses.replace(
        settings,
        output=str(folder),
        data=dataclasses.replace(settings.data, runs=tuple(options.runs), splits="fractions"),
    )
    with processes(settings.training.device) as workers:
        found = train(settings, workers)
    assert found is not None  # one process: it is the first
    return found


def _judge(lineage: Lineage, candidate: Path, test: StepData, margin: float) -> int:
    present, its = load_checkpoint(lineage.path(lineage.current))
    predictor, manifest = load_checkpoint(candidate)
    for name, content in (("the candidate", manifest), ("the version in use", its)):
        seen = overlaps(content, Parts(test), name)
        if seen:
            raise LineageError(f"{seen[0]} Give --test runs that nothing was learned from")
    compared = compare(predictor, present, test)
    gain = compared.difference
    accepted = compared.better(margin)
    reason = (
        f"ROC-AUC at T_min {compared.candidate.value:.3f} against {compared.current.value:.3f} of "
        f"{compared.episodes} episodes ({compared.failed} failed); gain {gain.value:+.3f} "
        f"[{gain.low:+.3f}, {gain.high:+.3f}], to exceed {margin:g}"
    )
    was = lineage.current.name
    version = lineage.add(candidate, data_digest(test), accepted, reason, compared.to_dict())
    print(f"version {version.name} against {was}: {reason}")
    print(
        f"{lineage.folder / CURRENT}: "
        + (f"version {version.name} takes the place of {was}" if accepted else f"{was} stays")
    )
    return 0
