# SPDX-License-Identifier: Apache-2.0
"""Collects a data set of episodes in processes of their own, without a ROS graph; resumable."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import multiprocessing
import os
import queue
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from salus_core.commands.boundary import command, require_folder
from salus_core.episode_store import (
    Run,
    open_run,
    recover_root,
)
from salus_core.failures import FAILURE_NAMES
from salus_sim.scenario import sample_scenario
from salus_sim.scene import SceneError, load_scene, scene_hash
from salus_studies.collection.settings import RUN_HASHES, DatasetError, Settings, load_splits
from salus_studies.collection.worker import Ended, Finished, Refused, Share, work

SUCCESS = "success"
OUTCOMES = (SUCCESS, *FAILURE_NAMES)


@dataclass
class Tally:
    """Figures of all episodes of a data set, those of earlier calls included.

    Attributes:
        outcomes: episodes by outcome.
        injected: those of them with an injected fault at or before the failure's onset.
        steps: rows.
        new_steps: rows written by this call, by worker.
        seconds: that they took, by worker.
        cpu_seconds: processor time that they took, by worker.
        refused: seeds that the world cannot start.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    injected: Counter[str] = field(default_factory=Counter)
    steps: int = 0
    new_steps: Counter[int] = field(default_factory=Counter)
    seconds: Counter[int] = field(default_factory=Counter)
    cpu_seconds: Counter[int] = field(default_factory=Counter)
    refused: list[int] = field(default_factory=list)

    def add(self, failure: str, fault_before: bool, steps: int) -> None:
        """Count an episode; without the name of a failure it is a success."""
        name = failure or SUCCESS
        self.outcomes[name] += 1
        self.injected[name] += fault_before
        self.steps += steps

    @property
    def short(self) -> str:
        """Counts for the progress bar."""
        return " ".join(f"{name}={self.outcomes[name]}" for name in OUTCOMES)

    def table(self) -> str:
        """The summary."""
        total = sum(self.outcomes.values())
        lines = [f"{'outcome':<12}{'episodes':>9}{'share':>8}{'natural':>9}{'injected':>10}"]
        for name in OUTCOMES:
            count, injected = self.outcomes[name], self.injected[name]
            share = f"{100 * count / max(total, 1):.1f} %"
            natural = f"{count - injected:>9}{injected:>10}"
            lines.append(f"{name:<12}{count:>9}{share:>8}{natural}")
        lines.append(f"{'all':<12}{total:>9}{'':>8}   {self.steps} steps")
        for worker in sorted(self.seconds):
            steps = self.new_steps[worker]
            rate = steps / self.seconds[worker]
            cpu = 1000 * self.cpu_seconds[worker] / steps
            lines.append(
                f"worker {worker}: {steps} steps, {rate:.1f} steps/s, {cpu:.1f} ms of CPU per step"
            )
        if self.refused:
            lines.append(
                f"{len(self.refused)} seeds that the world cannot start: "
                + ", ".join(map(str, self.refused[:10]))
            )
        return "\n".join(lines)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="dataset",
        allow_abbrev=False,
        description="Collect episodes in processes of their own, as fast as the machine allows. "
        "A second call with the same settings continues where the first one stopped.",
    )
    parser.add_argument("--episodes", type=int, required=True, metavar="N", help="episodes in all")
    parser.add_argument(
        "--split", metavar="NAME", help="take seeds, profile, tasks of this split of dataset.yaml"
    )
    parser.add_argument("--seed", type=int, metavar="S", help="of the first episode; default: 0")
    parser.add_argument("--profile", help="fault profile; default: mixed")
    parser.add_argument("--difficulty", help="of the scenes; default: standard")
    parser.add_argument("--tasks", nargs="+", metavar="TASK", help="default: all of the world's")
    parser.add_argument("--workers", type=int, default=2, metavar="K", help="default: 2")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="folder of runs; default: runs/SPLIT or runs/dataset",
    )
    parser.add_argument("--policy", default="embedded", help="backend; default: embedded")
    parser.add_argument(
        "--checkpoint", default="default", help="the policy's weights: name, folder or hub id"
    )
    parser.add_argument(
        "--cameras", nargs="+", default=(), metavar="NAME", help="record images of these cameras"
    )
    parser.add_argument(
        "--predictor",
        default="",
        metavar="DIR",
        help="record the forecasts of this predictor's checkpoint, too",
    )
    parser.add_argument(
        "--interventions",
        default="",
        metavar="TABLE",
        help="act on the forecasts by this table (a file, or 'tabletop'): episodes in which an "
        "action was changed count as intervened",
    )
    parser.add_argument(
        "--environments",
        type=int,
        default=1,
        metavar="N",
        help="of each worker, stepped together in one process; default: 1",
    )
    parser.add_argument(
        "--splits",
        type=Path,
        metavar="FILE",
        help="the file that --split reads; default: config/dataset.yaml",
    )
    return parser.parse_args(arguments)


def settings_of(options: argparse.Namespace) -> tuple[Settings, range]:
    """Settings and seeds that the options ask for.

    Raises:
        DatasetError: they contradict each other or are out of range.
    """
    if options.episodes < 1:
        raise DatasetError(f"--episodes must be at least 1, got {options.episodes}")
    if options.workers < 1:
        raise DatasetError(f"--workers must be at least 1, got {options.workers}")
    if options.environments < 1:
        raise DatasetError(f"--environments must be at least 1, got {options.environments}")
    profile, difficulty = options.profile or "mixed", options.difficulty or "standard"
    tasks, first, limit = tuple(options.tasks or ()), options.seed or 0, None
    if options.split:
        for name in ("seed", "profile", "difficulty", "tasks"):
            if getattr(options, name) is not None:
                raise DatasetError(f"--{name} contradicts --split, which fixes it")
        splits = load_splits(options.splits)
        if options.split not in splits:
            known = ", ".join(splits)
            raise DatasetError(f"there is no split '{options.split}': use one of {known}")
        split = splits[options.split]
        profile, difficulty, tasks = split.profile, split.difficulty, split.tasks
        first, limit = split.seeds.start, len(split.seeds)
    if first < 0:
        raise DatasetError(f"--seed must be at least 0, got {first}")
    if limit is not None and options.episodes > limit:
        raise DatasetError(f"split '{options.split}' has {limit} seeds, not {options.episodes}")
    scene = load_scene()
    try:
        scene.profile(profile)
        sample_scenario(scene, first, difficulty, tasks=tasks)
    except SceneError as error:
        raise DatasetError(str(error)) from error
    settings = Settings(
        split=options.split or "",
        profile=profile,
        difficulty=difficulty,
        tasks=tasks,
        policy=options.policy,
        checkpoint=options.checkpoint,
        cameras=tuple(options.cameras),
        scene_hash=scene_hash(),
        predictor=options.predictor,
        predictor_hash=_predictor_hash(options.predictor),
        interventions=options.interventions,
        interventions_hash=_table_hash(options.interventions, options.predictor),
    )
    return settings, range(first, first + options.episodes)


def _table_hash(table: str, predictor: str) -> str:
    """The identity of a table of interventions.

    Raises:
        DatasetError: it cannot be read, or there are no forecasts to act on.
    """
    if not table:
        return ""
    if not predictor:
        raise DatasetError("--interventions acts on forecasts: give --predictor, too")
    from salus_core.prevention.table import Table, TableError

    try:
        return Table.load(table).hash
    except TableError as error:
        raise DatasetError(f"--interventions: {error}") from error


def _predictor_hash(folder: str) -> str:
    if not folder:
        return ""
    # Only whoever forecasts needs torch in this process.
    from salus_core.predictors.manifest import CheckpointError, checkpoint_hash

    try:
        return checkpoint_hash(Path(folder).expanduser())
    except CheckpointError as error:
        raise DatasetError(f"--predictor: {error}") from error


@contextlib.contextmanager
def exclusive(output: Path) -> Iterator[None]:
    """Hold a folder for this call.

    Raises:
        DatasetError: it cannot be written, or another call holds it.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        (output / "COLCON_IGNORE").touch()
        lock = (output / ".dataset.lock").open("w")
    except OSError as error:
        raise DatasetError(f"--output {output}: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DatasetError(f"another call is collecting into {output}: wait for it") from None
        yield


def committed(output: Path, settings: Settings, tally: Tally) -> tuple[set[int], dict[str, str]]:
    """Clean up after a call that died; take stock of what is there.

    Returns:
        The seeds that are done, and what their runs have of RUN_HASHES; empty: none are.

    Raises:
        DatasetError: the folder holds episodes that do not belong to this data set.
    """
    for recovery in recover_root(output):
        print(recovery, file=sys.stderr)
    done: set[int] = set()
    hashes: dict[str, str] = {}
    # A worker that died before its run had arrays has left a folder without any.
    for data in sorted(output.glob("*/data.zarr")):
        run = open_run(data.parent)
        _check_belongs(run, settings)
        if not len(run):
            continue
        for name, what in RUN_HASHES.items():
            if hashes.setdefault(name, run.attributes[name]) != run.attributes[name]:
                raise DatasetError(
                    f"{output} holds runs of different {what}: choose another --output"
                )
        for episode in run:
            done.add(episode.seed)
            onset = episode.onset_step if episode.onset_step >= 0 else episode.length
            before = any(fault.onset_step <= onset for fault in episode.faults)
            tally.add(episode.failure_name, before, episode.length)
    return done, hashes


def _check_belongs(run: Run, settings: Settings) -> None:
    found = run.metadata.get("dataset")
    if found is None:
        raise DatasetError(f"{run.path} was not collected by this command: choose another --output")
    for name, wanted in settings.comparable.items():
        # Runs of before dataset had them do not say that they have none.
        held = found.get(name, "" if name.endswith("_hash") else None)
        if held != wanted:
            raise DatasetError(
                f"{run.path} was collected with {name} {held!r}, not {wanted!r}: "
                "choose another --output"
            )


def collect(
    settings: Settings,
    seeds: Sequence[int],
    output: Path,
    workers: int,
    hashes: dict[str, str],
    tally: Tally,
    environments: int = 1,
) -> list[str]:
    """Collect the seeds in processes.

    Args:
        settings: of the data set.
        seeds: to collect.
        output: folder of runs.
        workers: processes.
        hashes: those of RUN_HASHES that new runs must have; empty: any.
        tally: is added to.
        environments: of each process, stepped together.

    Returns:
        What went wrong; empty: nothing.
    """
    # One thread each: more only get into each other's way.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    os.environ.setdefault("LP_NUM_THREADS", "0")  # of Mesa: 0 draws on the caller's own thread
    context = multiprocessing.get_context("spawn")
    news, stop = context.Queue(), context.Event()
    processes = {}
    for index in range(min(workers, len(seeds))):
        share = Share(index, tuple(seeds[index::workers]), output, settings, hashes, environments)
        processes[index] = context.Process(target=work, args=(share, news, stop), daemon=True)
    errors: list[str] = []
    previous = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        for process in processes.values():
            process.start()
        with tqdm(total=len(seeds), unit="ep", mininterval=2, smoothing=0.05) as bar:
            while processes:
                _take(news, processes, tally, errors, bar)
                if errors:
                    stop.set()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if stop.is_set() and not errors:
        errors.append("stopped; the same call continues from here")
    return errors


def _take(news, processes: dict, tally: Tally, errors: list[str], bar: tqdm) -> None:
    """Wait for a piece of news and account for it."""
    try:
        item = news.get(timeout=1.0)
    except queue.Empty:
        for index, process in list(processes.items()):
            if process.exitcode:  # with 0 it has sent Ended, which is on its way
                errors.append(f"worker {index} died with code {process.exitcode}")
                del processes[index]
        return
    if isinstance(item, Ended):
        if (process := processes.pop(item.index, None)) is not None:
            process.join()
        if item.error and item.error not in errors:
            errors.append(item.error)
    elif isinstance(item, Refused):
        tally.refused.append(item.seed)
        tqdm.write(item.reason)
        bar.update()
    elif isinstance(item, Finished):
        result = item.result
        tally.add(result.failure, result.fault_before, result.steps)
        tally.new_steps[item.index] += result.steps
        tally.seconds[item.index] += item.seconds
        tally.cpu_seconds[item.index] += item.cpu_seconds
        bar.set_postfix_str(tally.short, refresh=False)
        bar.update()


@command("dataset", "the same call goes on from here")
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    options, tally = parse(arguments), Tally()
    settings, seeds = settings_of(options)
    output = options.output or Path("runs", options.split or "dataset")
    require_folder(output)
    with exclusive(output):
        done, hashes = committed(output, settings, tally)
        left = [seed for seed in seeds if seed not in done]
        if done:
            print(f"{len(seeds) - len(left)} of {len(seeds)} episodes are there already")
        errors = collect(
            settings, left, output, options.workers, hashes, tally, options.environments
        )
    if tally.steps:
        print(f"{tally.table()}\n{output}")
    for error in errors:
        print(f"salus dataset: {error}", file=sys.stderr)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
