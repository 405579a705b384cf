# SPDX-License-Identifier: Apache-2.0
"""`salus calibrate`: another alarm threshold for a trained predictor, from one's own episodes."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from salus_core.calibration import (
    ConformalBand,
    CrossConformal,
    DriftReference,
    Threshold,
    fewest_episodes,
)
from salus_core.commands.boundary import command, require_folder
from salus_core.curves import first_alarm
from salus_core.data import DataError, StepData, read_steps
from salus_core.data.describing import describe
from salus_core.metrics import EpisodeBootstrap
from salus_core.predictors.checkpoint import load_checkpoint, save_checkpoint
from salus_core.predictors.model import NeuralPredictor, Source
from salus_core.predictors.training.configuration import CalibrationSettings
from salus_core.report.inputs import add_input_options, require_checked_policy, require_inputs
from salus_core.report.sources import ROLES, Parts, overlaps
from salus_core.signals import SIGNAL_NAMES

DESCRIPTION = """\
Makes another alarm threshold, and another reference for drift, from labelled episodes that the
predictor has not seen; its weights stay as they are. Use it where the environment has changed, or
to have another false-alarm rate. Successful episodes are enough; failed ones show the recall."""

KEPT = ("metrics", "data", "splits", "training", "calibrated", "cross_validation")
"""Entries of the manifest that say what the predictor was made from."""


@command("calibrate")
def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    options = _parser().parse_args(argv)
    require_folder(options.output)
    predictor, manifest = load_checkpoint(options.checkpoint)
    if not predictor.gives_forecasts:
        raise DataError(f"'{predictor.name}' is a baseline without an alarm of its own")
    data = _new_episodes(options, predictor, manifest)
    before = predictor.band
    alpha = options.alpha
    if alpha is None:
        alpha = CalibrationSettings().alpha if before is None else before.alpha
    if not 0.0 < alpha < 1.0:
        raise DataError(f"--alpha must lie between 0 and 1, got {alpha}")
    if before is not None:
        print(f"threshold of the checkpoint: {_judged(predictor, data)}")
    predictor.band = recalibrated(predictor, data, alpha)
    predictor.drift = DriftReference.fit(data.signals, data.episode, SIGNAL_NAMES)
    about = _about(manifest, data, alpha)
    folder = save_checkpoint(predictor, options.output, about)
    print(
        f"new threshold: a false-alarm rate of {alpha:g} from {predictor.band.episodes} successful "
        f"episodes; recall of these failures {_recall(predictor, data)}"
    )
    print(f"checkpoint: {folder}")
    return 0


def recalibrated(predictor: NeuralPredictor, data: StepData, alpha: float) -> Threshold:
    """A threshold from episodes that the predictor has not seen.

    Args:
        predictor: that keeps its weights.
        data: labelled episodes; those that succeeded without intervention are used.
        alpha: false-alarm rate per successful episode.

    Raises:
        DataError: too few of them for so small a rate; says how many are needed.
    """
    table = data.episodes
    good = table.succeeded & ~table.intervened
    known = predictor.band
    if predictor.members:
        risks = predictor.member_risks(data)
        peaks = np.maximum.reduceat(risks, table.start, axis=0)[good]
        # All members are new to all of these episodes: they are dealt out evenly.
        member = np.arange(len(peaks)) % predictor.members
        scores = peaks[np.arange(len(peaks)), member].astype(float)
        crossed = CrossConformal(alpha, scores, member, predictor.members)
        if len(peaks) and np.isfinite(crossed.edge(0)):
            return crossed
        raise DataError(
            f"a false-alarm rate of {alpha:g} needs {fewest_episodes(alpha, 'constant')} "
            f"successful episodes, there are {len(peaks)}: record more, or allow a larger --alpha"
        )
    shape = known.shape if isinstance(known, ConformalBand) else "constant"
    try:
        return ConformalBand.fit(
            predictor.forecasts(data)[1],
            table.start[good],
            table.length[good],
            alpha,
            int(table.max_steps.max()) or None,
            shape,
        )
    except ValueError as error:
        raise DataError(f"{error} (--alpha)") from error


def _new_episodes(
    options: argparse.Namespace, predictor: NeuralPredictor, manifest: Mapping[str, Any]
) -> StepData:
    """Episodes of the runs that fit the predictor and that it has not learned from.

    Raises:
        DataError: there are none, or they are known by their seeds as those of training.
        MismatchError, MissingInputError: they do not fit.
    """
    data = read_steps(options.runs, horizons=predictor.horizons)
    predictor.require_match(Source.of(data))
    require_inputs(predictor, data, "calibration", options.allow_missing)
    if not options.allow_unchecked_policy:
        require_checked_policy(data, "calibration")
    groups = manifest.get("splits", {}).get("parts", {})
    learned = {name for role in ("train", "validation") for name in groups.get(role, ())}
    new = ~np.isin(data.episodes.groups.astype(str), sorted(learned))
    if not new.any():
        raise DataError(
            f"all {len(new)} episodes are, or repeat, those that {options.checkpoint} learned "
            "from: a threshold made of them promises nothing; name runs with new ones"
        )
    if not new.all():
        print(f"{int((~new).sum())} episodes that the predictor learned from are left out")
        data = data.select(new)
    if not groups and manifest.get("data"):
        roles = {k: v for k, v in manifest["data"].items() if k in ROLES and k != "calibration"}
        for sentence in overlaps({"data": roles}, Parts(data), str(options.checkpoint)):
            raise DataError(f"{sentence.replace('test part', 'given runs')} Name runs of others.")
    print(describe(data)["summary"])
    return data


def _judged(predictor: NeuralPredictor, data: StepData) -> str:
    """What the present threshold does on the episodes."""
    table = data.episodes
    good = table.succeeded & ~table.intervened
    alarmed = _alarmed(predictor, data)
    bootstrap = EpisodeBootstrap(len(table))
    rate = bootstrap.ratio(alarmed & good, good)
    assert predictor.band is not None
    return (
        f"alarms in {int((alarmed & good).sum())} of {int(good.sum())} successes ({rate.value:.3f} "
        f"[{rate.low:.3f}, {rate.high:.3f}]; promised {predictor.band.alpha:g}), recall of "
        f"failures {_recall(predictor, data)}"
    )


def _recall(predictor: NeuralPredictor, data: StepData) -> str:
    table = data.episodes
    codes = list(predictor.alarm_types)
    failed = table.failed & ~table.intervened & np.isin(table.failure, codes)
    if not failed.any():
        return "not defined: none failed"
    found = EpisodeBootstrap(len(table)).ratio(_alarmed(predictor, data) & failed, failed)
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


def _alarmed(predictor: NeuralPredictor, data: StepData) -> np.ndarray:
    """Whether each episode has an alarm, (E,) bool."""
    assert predictor.band is not None
    alarm = predictor.band.alarm(predictor.forecasts(data)[1], data.step)
    return first_alarm(alarm, data.episodes.start, data.episodes.length) >= 0


def _about(manifest: Mapping[str, Any], data: StepData, alpha: float) -> dict[str, Any]:
    about = {name: manifest[name] for name in KEPT if name in manifest}
    about["data"] = {**about.get("data", {}), "calibration": describe(data)}
    about["calibrated"] = {**about.get("calibrated", {}), "alpha": alpha}
    parts = about.get("splits", {}).get("parts")
    if parts:
        groups = sorted(set(data.episodes.groups.tolist()))
        about["splits"] = {**about["splits"], "parts": {**parts, "calibration": groups}}
        test = set(parts.get("test", ())) - set(groups)
        about["splits"]["parts"] |= {"test": sorted(test)} if "test" in parts else {}
    return about


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="salus calibrate",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example: salus calibrate runs/temporal/checkpoint --runs data/new --output again",
    )
    parser.add_argument("checkpoint", type=Path, help="folder of a checkpoint; it stays as it is")
    parser.add_argument(
        "--runs", nargs="+", required=True, metavar="PATH", help="runs with labelled episodes"
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder of the new checkpoint"
    )
    parser.add_argument(
        "--alpha", type=float, help="false-alarm rate per successful episode; default: as before"
    )
    add_input_options(parser)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
