# SPDX-License-Identifier: Apache-2.0
"""Reads runs of the episode store into StepData."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from salus_core.data.fractions import Part, group_of
from salus_core.data.scene import SCENE_KEYS, SCENE_NAMES, scene_of
from salus_core.data.splits import Split
from salus_core.data.step_data import (
    EMBEDDING_DTYPE,
    EpisodeTable,
    StepData,
    blank_incomplete,
    measured,
)
from salus_core.episode_store import Episode, NotARunError, Run, open_dataset
from salus_core.episode_store.episodes import POSE_NAMES
from salus_core.failures import HORIZONS_S, Outcome, checked_horizons
from salus_core.labels import horizon_steps
from salus_core.signals import SIGNAL_NAMES

_BLOCK = 16_384
"""Rows that are read at a time, so that nothing is held twice in full precision."""


class DataError(ValueError):
    """Recorded runs cannot be used as asked for; the message names run and field."""


def read_steps(
    runs: Iterable[Path | str] | Path | str,
    split: Split | Part | None = None,
    *,
    chunks: bool = False,
    scene: bool = False,
    embedding: bool = True,
    limit: int | None = None,
    horizons: Sequence[float] = HORIZONS_S,
) -> StepData:
    """Read the episodes of runs.

    A seed of a world that was recorded twice is read once: the first recording that has an end,
    else the first. Episodes without a difficulty are of no world that a seed repeats: all are read.

    Args:
        runs: runs, folders of runs, or glob patterns of either.
        split: only its episodes; None: all.
        chunks: read the action chunks, too.
        scene: read the ground truth, too.
        embedding: read the embeddings.
        limit: read so many episodes at most.
        horizons: of the labels [s], ascending.

    Raises:
        NotARunError: a path holds no run.
        DataError: no episode is left, a run lacks signals, the runs' signals, actions, failure
            types or joints are not comparable, or the horizons do not fit the control rate.
    """
    chosen = choose_episodes(runs, split, limit)
    run = chosen[0].run
    try:
        horizon_steps(run.control_period, horizons)
    except ValueError as error:
        raise DataError(f"{run.path}: {error}") from error
    return _assemble(chosen, chunks, scene, embedding, checked_horizons(horizons))


def choose_episodes(
    runs: Iterable[Path | str] | Path | str, split: Split | None = None, limit: int | None = None
) -> list[Episode]:
    """The episodes that `read_steps` reads, in its order; see there.

    Raises:
        NotARunError: a path holds no run.
        DataError: no episode is left, or a run lacks signals.
    """
    try:
        dataset = open_dataset(runs)
    except NotARunError:
        raise
    except ValueError as error:
        raise DataError(str(error)) from error
    for run in dataset.runs:
        if tuple(run.attributes["signal_names"]) != SIGNAL_NAMES:
            raise DataError(
                f"{run.path}: its signals are {', '.join(run.attributes['signal_names'])}, not "
                f"{', '.join(SIGNAL_NAMES)}"
            )
    found: dict[tuple[object, ...], Episode] = {}
    for episode in dataset:
        inside = split is None or split.holds(episode)
        if not inside or len(episode) == 0:
            continue
        before = found.get(_key(episode))
        if before is None and limit is not None and len(found) == limit:
            break
        if before is None or Outcome.ABORTED == before.outcome != episode.outcome:
            found[_key(episode)] = episode
    order = {run: number for number, run in enumerate(dataset.runs)}
    chosen = sorted(found.values(), key=lambda episode: (order[episode.run], episode.start))
    if not chosen:
        wanted = f" {split}" if split else ""
        raise DataError(f"{', '.join(str(run.path) for run in dataset.runs)}: no episode{wanted}")
    return chosen


def _key(episode: Episode) -> tuple[object, ...]:
    if not episode.difficulty:
        return (episode.run.real_path, episode.start)
    return (
        episode.seed,
        episode.difficulty,
        episode.fault_profile,
        episode.instruction,
        episode.run.attributes["policy_hash"],
    )


def _assemble(
    chosen: Sequence[Episode],
    chunks: bool,
    scene: bool,
    embedding: bool,
    horizons: tuple[float, ...],
) -> StepData:
    runs = list(dict.fromkeys(episode.run for episode in chosen))
    attributes = runs[0].attributes
    for run in runs[1:]:
        for name in ("state_names", "embedding_size", "chunk_shape", "action_scale"):
            if run.attributes[name] != attributes[name]:
                raise DataError(
                    f"{runs[0].path} and {run.path} cannot be one data set: {name} is "
                    f"{attributes[name]!r} and {run.attributes[name]!r}"
                )
    lengths = np.array([len(episode) for episode in chosen])
    number = int(lengths.sum())
    size = int(attributes["embedding_size"]) if embedding else 0
    state_names = tuple(attributes["state_names"])
    arrays = {
        "signals": np.empty((number, len(SIGNAL_NAMES)), np.float32),
        "valid": np.empty((number, len(SIGNAL_NAMES)), bool),
        "proprioception": np.empty((number, len(state_names)), np.float32),
        "action": np.empty((number, runs[0].action.size), np.float32),
        "action_std": np.empty((number, runs[0].action.size), np.float32),
        "embedding": np.empty((number, size), EMBEDDING_DTYPE),
        "step": np.empty(number, np.int64),
    }
    if chunks and all(attributes["chunk_shape"]):
        arrays["chunk"] = np.empty((number, *attributes["chunk_shape"]), EMBEDDING_DTYPE)
    keys = {"valid": "signals_valid", "proprioception": "state"}
    at = 0
    for run in runs:
        ours = [episode for episode in chosen if episode.run is run]
        rows = np.concatenate([np.arange(episode.start, episode.stop) for episode in ours])
        for name, into in arrays.items():
            if into.size:
                _read_rows(run, keys.get(name, name), rows, into[at : at + len(rows)])
        at += len(rows)
    _blank_gaps(arrays, state_names)
    start = np.cumsum(lengths) - lengths
    labels = np.zeros((number, len(horizons), runs[0].taxonomy.size), bool)
    label_valid = np.zeros((number, len(horizons)), bool)
    for first, episode in zip(start, chosen, strict=True):
        found = episode.labels(horizons)
        labels[first : first + len(episode)] = found.y
        label_valid[first : first + len(episode)] = found.valid
    if scene:
        arrays["scene"] = np.empty((number, len(SCENE_NAMES)), np.float32)
        for run in runs:
            run.load(key for key in SCENE_KEYS if key in run.step_keys)
        tool = [state_names.index(f"tool.{name}") for name in POSE_NAMES]
        for first, episode in zip(start, chosen, strict=True):
            steps = slice(first, first + len(episode))
            arrays["scene"][steps] = scene_of(episode, arrays["proprioception"][steps][:, tool])
    return StepData(
        **arrays,
        labels=labels,
        label_valid=label_valid,
        episode=np.repeat(np.arange(len(chosen)), lengths),
        episodes=_table(chosen, start, lengths),
        proprioception_names=state_names,
        control_period=float(attributes["control_period"]),
        action_spec=runs[0].action,
        taxonomy=runs[0].taxonomy,
        horizons=horizons,
        schema_hash=attributes["schema_hash"],
        members=int(attributes["members"]),
        policies=tuple(
            dict.fromkeys((run.attributes["policy"], run.attributes["policy_hash"]) for run in runs)
        ),
    )


def _read_rows(run: Run, key: str, rows: np.ndarray, into: np.ndarray) -> None:
    limit = np.finfo(into.dtype).max if into.dtype == EMBEDDING_DTYPE else None
    for begin in range(int(rows[0]), int(rows[-1]) + 1, _BLOCK):
        low, high = np.searchsorted(rows, [begin, begin + _BLOCK])
        if low == high:
            continue
        block = run.read(key, begin, int(rows[high - 1]) + 1)[rows[low:high] - begin]
        into[low:high] = block if limit is None else np.clip(block, -limit, limit)


def _blank_gaps(arrays: dict[str, np.ndarray], state_names: Sequence[str]) -> None:
    """Blank what goes with a missing message: the live node has nothing of it either.

    Without the policy's message there is no step at all; without the body's, no proprioception.
    Velocities may be missing, and what no step has is not waited for: not every robot measures its
    velocities or the pose of its tool.
    """
    body = arrays["proprioception"]
    blank_incomplete(body, measured(state_names) & ~np.isnan(body).all(axis=0))
    gap = np.isnan(arrays["action"]).any(axis=1)
    for name in ("signals", "proprioception", "action", "action_std", "embedding"):
        arrays[name][gap] = np.nan
    arrays["valid"][gap] = False


def _table(chosen: Sequence[Episode], start: np.ndarray, lengths: np.ndarray) -> EpisodeTable:
    def texts(values: Iterable[object]) -> np.ndarray:
        column = np.empty(len(chosen), object)
        column[:] = list(values)
        return column

    return EpisodeTable(
        start=start,
        length=lengths,
        outcome=np.array([episode.outcome for episode in chosen], np.uint8),
        failure=np.array([episode.failure for episode in chosen], np.uint8),
        onset_step=np.array([episode.onset_step for episode in chosen], np.int64),
        seed=np.array([episode.seed for episode in chosen], np.uint64),
        intervened=np.array([episode.intervened for episode in chosen], bool),
        injected=np.array([_injected(episode) for episode in chosen], bool),
        faults=texts(tuple(fault.kind for fault in episode.faults) for episode in chosen),
        difficulty=texts(episode.difficulty for episode in chosen),
        fault_profile=texts(episode.fault_profile for episode in chosen),
        instruction=texts(episode.instruction for episode in chosen),
        task=texts(episode.task or episode.instruction for episode in chosen),
        target=texts(episode.target_object for episode in chosen),
        max_steps=np.array([episode.max_steps for episode in chosen], np.int64),
        run=texts(str(episode.run.real_path) for episode in chosen),
        group=texts(group_of(episode) for episode in chosen),
    )


def _injected(episode: Episode) -> bool:
    end = episode.onset_step if episode.outcome == Outcome.FAILED else len(episode)
    return any(fault.onset_step <= end for fault in episode.faults)
