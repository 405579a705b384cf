# SPDX-License-Identifier: Apache-2.0
"""From the messages of bags to the arrays that predictors and figures read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from salus_core.actions import ActionError
from salus_core.bags.errors import BagError
from salus_core.bags.recording import Recording, Steps
from salus_core.data import EMBEDDING_DTYPE, EpisodeTable, StepData
from salus_core.failures import BUILT_IN, HORIZONS_S, Outcome, Taxonomy
from salus_core.labels import failure_labels
from salus_core.messages import (
    Episode,
    InvalidInputError,
    action_spec,
    check_lengths,
    failure_name,
    nanoseconds,
    outcome,
    step_values,
)
from salus_core.signals import SIGNAL_NAMES


@dataclass(frozen=True)
class Replayed:
    """Steps of bags or runs, with what was forecast when they were recorded.

    Attributes:
        data: N steps.
        stamp: (N,) int64 of the observation [ns]; 0 where nothing came.
        number: (N,) int64, the world's number of the episode.
        recorded: (N, H, K) float32 of the predictor at that time, NaN: none.
        recorded_score: (N,) float32, what its alarm looked at, NaN: none.
        predictor_hashes: of the predictors that made them.
        remarks: what a reader must know about the recording.
        missing: a sentence for each input that steps lack, with the offset that was seen.
    """

    data: StepData
    stamp: np.ndarray
    number: np.ndarray
    recorded: np.ndarray
    recorded_score: np.ndarray
    predictor_hashes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


_MOST_STEPS = 1_000_000
"""Of one episode: nine hours at 30 Hz. A number beyond is damage, and would allocate."""
_MOST_ABSENT = 2**30
"""Memory of rows of which no message came [bytes]."""


@dataclass(frozen=True)
class _Rows:
    """One episode of one bag; its rows are its steps from 0, not known of before `first`."""

    bag: Recording
    episode: Episode
    steps: Steps
    first: int
    length: int
    outcome: Outcome
    failure: int
    onset: int


def steps_of_bags(
    bags: Sequence[Recording],
    proprioception_names: Sequence[str],
    control_period: float,
    horizons: Sequence[float] = HORIZONS_S,
    taxonomy: Taxonomy = BUILT_IN,
) -> Replayed:
    """Arrange the messages of bags as steps.

    A step before the last of which no signals came is a row without values, as in a recorded run;
    rows before the first that came have no valid label, either. Steps from the end of the episode
    on are left out; the policy may have answered one more.

    Args:
        bags: whose policies give comparable signals.
        proprioception_names: columns of the body's state, with which the bags were read.
        control_period: seconds per step where a bag does not say.
        horizons: of the labels [s].
        taxonomy: the failure types.

    Raises:
        BagError: the bags' policies differ, a message contradicts signal_info or names a failure
            that does not exist, or no step is left.
    """
    _require_one_policy(bags)
    remarks = [remark for bag in bags for remark in bag.remarks]
    missing = [f"{bag.path.name}: {sentence}" for bag in bags for sentence in bag.missing]
    episodes = [rows for bag in bags for rows in _episodes(bag, taxonomy, remarks)]
    if not episodes:
        raise BagError(f"{', '.join(str(bag.path) for bag in bags)}: no step of an episode")
    info = next((bag.info for bag in bags if bag.info is not None), None)
    if info is None:
        remarks.append("signal_info is not in the bags: whether the policy fits is not checked.")
        size = len(next(iter(episodes[0].steps.signals.values())).embedding)
    else:
        control_period, size = float(info.control_period), int(info.embedding_size)
    try:
        action = action_spec(info)
    except ActionError as error:
        raise BagError(f"{bags[0].path}: signal_info: {error}") from error
    lengths = np.array([rows.length for rows in episodes])
    start = np.cumsum(lengths) - lengths
    number = int(lengths.sum())
    width = size + action.size + len(proprioception_names) + len(horizons) * taxonomy.size
    absent = number - sum(len(rows.steps.signals) for rows in episodes)
    if absent * 4 * width > _MOST_ABSENT:
        raise BagError(
            f"{', '.join(str(bag.path) for bag in bags)}: {absent} of {number} steps are not in "
            "the bag: the numbers of the steps in vla_signals are damaged, or begin too late"
        )
    arrays = {
        "signals": np.full((number, len(SIGNAL_NAMES)), np.nan, np.float32),
        "valid": np.zeros((number, len(SIGNAL_NAMES)), bool),
        "proprioception": np.full((number, len(proprioception_names)), np.nan, np.float32),
        "action": np.full((number, action.size), np.nan, np.float32),
        "action_std": np.full((number, action.size), np.nan, np.float32),
        "embedding": np.full((number, size), np.nan, EMBEDDING_DTYPE),
    }
    stamp = np.zeros(number, np.int64)
    recorded = np.full((number, len(horizons), taxonomy.size), np.nan, np.float32)
    recorded_score = np.full(number, np.nan, np.float32)
    labels = np.zeros(recorded.shape, bool)
    label_valid = np.zeros(recorded.shape[:2], bool)
    others = 0
    for at, rows in zip(start, episodes, strict=True):
        for step, message in rows.steps.signals.items():
            if step < rows.length:
                stamp[at + step] = nanoseconds(message.header.stamp)
                _fill(arrays, int(at + step), message, rows, info)
        for step, forecast in rows.steps.forecasts.items():
            if step >= rows.length:
                continue
            if len(forecast.probabilities) != recorded[0].size:
                others += 1
                continue
            recorded[at + step] = np.reshape(forecast.probabilities, recorded.shape[1:])
            recorded_score[at + step] = forecast.score
        where = slice(at, at + rows.length)
        labels[where], label_valid[where] = _labels(rows, control_period, horizons, taxonomy)
    if others:
        remarks.append(
            f"{others} forecasts in the bags have other horizons or failure types: not compared."
        )
    hashes = {bag.predictor_hash for bag in bags if any(s.forecasts for s in bag.steps.values())}
    return Replayed(
        data=StepData(
            **arrays,
            labels=labels,
            label_valid=label_valid,
            episode=np.repeat(np.arange(len(episodes)), lengths),
            step=np.concatenate([np.arange(rows.length) for rows in episodes]),
            episodes=_table(episodes, start, lengths),
            proprioception_names=tuple(proprioception_names),
            control_period=control_period,
            action_spec=action,
            taxonomy=taxonomy,
            horizons=tuple(horizons),
            schema_hash=info.schema_hash if info else "",
            members=int(info.members) if info else 0,
            policies=tuple(dict.fromkeys(policy for bag in bags for policy in bag.policies)),
        ),
        stamp=stamp,
        number=np.repeat([rows.episode.number for rows in episodes], lengths),
        recorded=recorded,
        recorded_score=recorded_score,
        predictor_hashes=tuple(sorted(hashes)),
        remarks=tuple(remarks),
        missing=tuple(missing),
    )


def _require_one_policy(bags: Sequence[Recording]) -> None:
    known = [bag for bag in bags if bag.info is not None]
    for bag in known[1:]:
        if bag.info.schema_hash != known[0].info.schema_hash:
            raise BagError(f"{known[0].path} and {bag.path} hold signals of different policies")


def _episodes(bag: Recording, taxonomy: Taxonomy, remarks: list[str]) -> list[_Rows]:
    found = []
    for episode in bag.episodes:
        steps = bag.steps.get(episode.position)
        if steps is None or not steps.signals:
            continue
        name = f"{bag.path.name}: episode {episode.number}"
        if sum(other.number == episode.number for other in bag.episodes) > 1:
            name += f" (the bag's {episode.position + 1}.)"
        first, end = min(steps.signals), max(steps.signals) + 1
        if end > _MOST_STEPS:
            raise BagError(
                f"{bag.path}: episode {episode.number} has a step {end - 1}, more than "
                f"{_MOST_STEPS}: vla_signals is damaged"
            )
        status = episode.status if episode.ended else None
        if status is not None:
            end = min(end, int(status.step)) if status.step > first else end
        else:
            remarks.append(f"{name}: its end is not in the bag: censored.")
        try:
            state = Outcome.ABORTED if status is None else outcome(status)
            failure = taxonomy.code(failure_name(status, taxonomy)) if status is not None else 0
        except InvalidInputError as error:
            raise BagError(f"{bag.path}: {error}") from error
        onset = int(status.onset_step) if failure else -1
        if failure and not onset <= status.step <= _MOST_STEPS:
            raise BagError(
                f"{bag.path}: episode {episode.number}: EpisodeStatus.onset_step is {onset}, but "
                f"the episode ended at step {status.step}"
            )
        found.append(_Rows(bag, episode, steps, first, end, state, failure, onset))
        if first > 0:
            remarks.append(f"{name} begins at step {first}.")
        lost = end - first - sum(step < end for step in steps.signals)
        if lost:
            remarks.append(f"{name}: {lost} of its steps are not in the bag.")
    return found


def _labels(
    rows: _Rows, control_period: float, horizons: Sequence[float], taxonomy: Taxonomy
) -> tuple[np.ndarray, np.ndarray]:
    """Labels of the rows of an episode; none before the recording begins."""
    found = failure_labels(
        max(rows.length, rows.onset),
        rows.outcome,
        rows.failure,
        rows.onset,
        control_period,
        intervened=rows.steps.intervened,
        horizons=horizons,
        taxonomy=taxonomy,
    )
    valid = found.valid[: rows.length].copy()
    valid[: rows.first] = False
    return found.y[: rows.length], valid


def _fill(arrays: dict[str, np.ndarray], row: int, message: Any, rows: _Rows, info: Any) -> None:
    problem = "" if info is None else check_lengths(message, info)
    if problem:
        raise BagError(
            f"{rows.bag.path}: vla_signals of episode {rows.episode.number} step {message.step}: "
            f"{problem}"
        )
    values, _ = step_values(message, arrays["embedding"].shape[1], arrays["action"].shape[1])
    limit = np.finfo(EMBEDDING_DTYPE).max
    values["embedding"] = np.clip(values["embedding"], -limit, limit)
    for name, array in values.items():
        arrays[name][row] = array
    body = rows.steps.body.get(message.step)
    if body is not None:
        arrays["proprioception"][row] = body


def _table(episodes: Sequence[_Rows], start: np.ndarray, lengths: np.ndarray) -> EpisodeTable:
    def texts(values: list[object]) -> np.ndarray:
        column = np.empty(len(episodes), object)
        column[:] = values
        return column

    status = [rows.episode.status for rows in episodes]
    setup = [rows.episode.setup for rows in episodes]
    faults = [tuple(one.faults) if one is not None else () for one in status]

    def of_setup(name: str, otherwise: object) -> list[object]:
        return [otherwise if one is None else getattr(one, name, otherwise) for one in setup]

    instructions = ["" if one is None else one.instruction for one in status]
    tasks = of_setup("task", "")
    ends = [e.onset if e.failure else e.length for e in episodes]
    return EpisodeTable(
        start=start,
        length=lengths,
        outcome=np.array([episode.outcome for episode in episodes], np.uint8),
        failure=np.array([episode.failure for episode in episodes], np.uint8),
        onset_step=np.array([episode.onset for episode in episodes], np.int64),
        seed=np.array([0 if one is None else one.seed for one in status], np.uint64),
        intervened=np.array([rows.steps.intervened for rows in episodes], bool),
        injected=np.array(
            [
                any(fault.onset_step <= end for fault in of_episode)
                for of_episode, end in zip(faults, ends, strict=True)
            ],
            bool,
        ),
        faults=texts([tuple(fault.kind for fault in of_episode) for of_episode in faults]),
        difficulty=texts(of_setup("difficulty", "")),
        fault_profile=texts(of_setup("fault_profile", "")),
        instruction=texts(instructions),
        task=texts([task or said for task, said in zip(tasks, instructions, strict=True)]),
        target=texts(of_setup("target_object", "")),
        max_steps=np.array(of_setup("max_steps", 0), np.int64),
        run=texts([str(episode.bag.path) for episode in episodes]),
    )
