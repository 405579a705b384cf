# SPDX-License-Identifier: Apache-2.0
"""ros2 run salus_predictor_node replay: forecasts over recorded bags or runs, without a graph."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from salus_core.bags.errors import BagError
from salus_core.bags.reading import is_bag
from salus_core.bags.recording import read_bag
from salus_core.bags.steps import Replayed, steps_of_bags
from salus_core.commands.boundary import command, require_folder, written
from salus_core.commands.evaluate import (
    add_figure_options,
    evaluate,
    settings_of,
)
from salus_core.data import StepData, read_steps
from salus_core.data.reading import choose_episodes
from salus_core.predictors.checkpoint import load_checkpoint
from salus_core.predictors.features import StepInputs
from salus_core.predictors.model import NeuralPredictor, Source
from salus_core.report.inputs import add_input_options, checked_parts
from salus_core.report.sources import (
    Parts,
    SourceError,
    add_source_options,
    data_settings,
    overlaps,
    parts_around,
)

FORECASTS = "forecasts.npz"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="replay",
        description="Forecasts of a checkpoint over recorded bags (MCAP, sqlite3) or runs (Zarr), "
        "step by step as the node makes them, and evaluate's report; see docs/evaluation.md.",
    )
    parser.add_argument("recordings", nargs="+", type=Path, metavar="BAG_OR_RUN")
    parser.add_argument(
        "--checkpoint", type=Path, required=True, metavar="DIR", help="folder of the predictor"
    )
    parser.add_argument("--namespace", default="", help="of the bags' topics, if there are several")
    parser.add_argument(
        "--stamp-tolerance",
        type=float,
        default=0.0,
        metavar="S",
        help="largest difference of the stamps of signals and of the body's state in bags, as the "
        "node's parameter; default: 0",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("replay"),
        metavar="DIR",
        help="folder of report and forecasts; default: replay",
    )
    add_source_options(parser)
    add_figure_options(parser)
    add_input_options(parser)
    return parser


@command("replay")
def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    options = _parser().parse_args(argv)
    require_folder(options.output)
    predictor, manifest = load_checkpoint(options.checkpoint)
    recording = read_recordings(
        options.recordings, predictor, options.namespace, options.stamp_tolerance
    )
    for sentence in (*recording.remarks, *recording.missing):
        print(sentence)
    table = recording.data.episodes
    known = (table.succeeded | table.failed).any()
    parts = Parts(test=recording.data)
    if known and (options.runs or options.splits):
        parts = parts_around(recording.data, options, data_settings(manifest))
    parts = checked_parts(predictor, parts, options.allow_missing, options.allow_unchecked_policy)
    streamed = StreamedPredictor(predictor)
    probabilities, score = streamed.forecasts(parts.test)
    options.output.mkdir(parents=True, exist_ok=True)
    save_forecasts(options.output / FORECASTS, predictor, recording, probabilities, score)
    agreement = recorded_difference(predictor, recording, probabilities, score)
    print(agreement)
    if not known:
        print(f"{options.output / FORECASTS}; no episode has a known outcome, so no report")
        return 0
    about = {
        "recordings": ", ".join(str(path) for path in options.recordings),
        "checkpoint": str(options.checkpoint),
        "weights": predictor.hash,
        "recorded forecasts": agreement,
    }
    cautions = [*recording.missing, *overlaps(manifest, parts, str(options.checkpoint))]
    report = evaluate(predictor, parts, settings_of(options, predictor), about, streamed, cautions)
    print(written(report, options.output))
    for sentence in report.warnings():
        print(f"WARNING: {sentence}", file=sys.stderr)
    print(f"{options.output}/report.md, metrics.json, {FORECASTS}")
    return 0


class StreamedPredictor:
    """A predictor that takes one step after the other, as the node does.

    Args:
        predictor: of a checkpoint.
    """

    def __init__(self, predictor: NeuralPredictor):
        self.name = predictor.name
        self._predictor = predictor
        self._known: tuple[StepData, tuple[np.ndarray, np.ndarray]] | None = None

    def scores(self, data: StepData) -> np.ndarray:
        """Probabilities (N, H, K), or risk (N,), of every step."""
        return self.forecasts(data)[0]

    def forecasts(self, data: StepData) -> tuple[np.ndarray, np.ndarray]:
        """What `scores` gives, and what the alarm looks at, (N,)."""
        if self._known is not None and self._known[0] is data:
            return self._known[1]
        if data.schema_hash:
            self._predictor.require_match(Source.of(data))
        stream = self._predictor.stream()
        found, scores = [], []
        for _, rows in data.iterate():
            stream.reset()
            for row in range(rows.start, rows.stop):
                found.append(stream.update(StepInputs.of(data, row)))
                scores.append(stream.score)
        self._known = (data, (np.array(found, np.float32), np.array(scores, np.float32)))
        return self._known[1]


def read_recordings(
    paths: list[Path],
    predictor: NeuralPredictor,
    namespace: str = "",
    stamp_tolerance: float = 0.0,
) -> Replayed:
    """Read bags or runs; not both at once.

    Raises:
        BagError: a bag cannot be read, is given twice, or bags and runs are mixed.
        DataError, NotARunError: a run cannot be read.
    """
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise SourceError(f"{missing[0]} does not exist")
    bags = [path for path in paths if is_bag(path)]
    if not bags:
        return _steps_of_runs(paths, predictor.horizons)
    if len(bags) < len(paths):
        other = next(path for path in paths if path not in bags)
        raise BagError(f"{bags[0]} is a bag and {other} is not: replay them one after the other")
    for index, path in enumerate(bags):
        if path.resolve() in [other.resolve() for other in bags[:index]]:
            raise BagError(f"{path} is given twice")
    source = predictor.source
    names = tuple(source.proprioception_names)
    return steps_of_bags(
        [read_bag(path, namespace, names, stamp_tolerance) for path in bags],
        names,
        source.control_period,
        predictor.horizons,
        predictor.taxonomy,
    )


def _steps_of_runs(paths: list[Path], horizons: Sequence[float]) -> Replayed:
    episodes = choose_episodes(paths)
    data = read_steps(paths, horizons=horizons)
    recorded = np.full((len(data), len(horizons), data.taxonomy.size), np.nan, np.float32)
    recorded_score = np.full(len(data), np.nan, np.float32)
    stamp, number = np.zeros(len(data), np.int64), np.zeros(len(data), np.int64)
    hashes = set()
    for (_, rows), episode in zip(data.iterate(), episodes, strict=True):
        forecasts = episode["forecast"]
        if forecasts[0].size == recorded[0].size:
            recorded[rows] = forecasts.reshape(-1, *recorded.shape[1:])
            recorded_score[rows] = episode["forecast_score"]
        stamp[rows] = np.nan_to_num(np.rint(episode["timestamp"] * 1e9)).astype(np.int64)
        number[rows] = episode.number
        if episode.predictor_hash:
            hashes.add(episode.predictor_hash)
    return Replayed(data, stamp, number, recorded, recorded_score, tuple(sorted(hashes)))


def recorded_difference(
    predictor: NeuralPredictor, recording: Replayed, probabilities: np.ndarray, score: np.ndarray
) -> str:
    """Say how far the forecasts of the recording are from these."""
    there = np.isfinite(recording.recorded).all(axis=(1, 2))
    if not there.any():
        return "The recording holds no forecasts."
    # Older recordings know a predictor by its weights alone.
    if recording.predictor_hashes not in ((predictor.hash,), (predictor.weights_hash,)):
        return "The recording's forecasts are another predictor's."
    if probabilities.ndim != 3:
        return "This predictor gives no probabilities to compare."
    apart = np.abs(probabilities[there] - recording.recorded[there]).max(axis=(1, 2))
    # A forecast without its score is not the same.
    alarms = np.nan_to_num(np.abs(score[there] - recording.recorded_score[there]), nan=np.inf)
    apart = np.maximum(apart, alarms)
    return (
        f"Of {there.sum()} forecasts in the recording the largest difference to these, "
        f"of probabilities and the alarm's score, is "
        f"{apart.max():.2e}; {(apart > 1e-6).sum()} differ by more than 1e-6."
    )


def save_forecasts(
    path: Path,
    predictor: NeuralPredictor,
    recording: Replayed,
    probabilities: np.ndarray,
    score: np.ndarray,
) -> None:
    """Write every step's forecast."""
    data = recording.data
    arrays: dict[str, Any] = {
        "episode": recording.number,
        "step": data.step,
        "stamp": recording.stamp,
        "probabilities": probabilities,
        "score": score,
        "recorded": recording.recorded,
    }
    if predictor.band is not None:
        edge = predictor.band.edge(data.step)
        arrays |= {"band": edge, "alarm": score > edge}
    np.savez_compressed(path, **arrays)


if __name__ == "__main__":
    raise SystemExit(main())
