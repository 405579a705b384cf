"""From the messages of bags to the arrays that predictors and figures read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from salus_core.actions import TOOL_MOTION, ActionSpec
from salus_core.bags.body_values import body_values
from salus_core.bags.messages import BagError, BagMessages, Key, nanoseconds
from salus_core.bags.step_values import step_values
from salus_core.data import EMBEDDING_DTYPE, EpisodeTable, StepData
from salus_core.failures import FAILURE_TYPES, HORIZONS_S, FailureType, Outcome
from salus_core.labels import failure_labels
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
    """

    data: StepData
    stamp: np.ndarray
    number: np.ndarray
    recorded: np.ndarray
    recorded_score: np.ndarray
    predictor_hashes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Episode:
    """One episode of one bag; its rows are its steps from 0, not known of before `first`."""

    bag: BagMessages
    number: int
    first: int
    length: int
    outcome: Outcome
    failure: FailureType
    onset: int

    @property
    def keys(self) -> list[Key]:
        return [(self.number, row) for row in range(self.length)]


def steps_of_bags(
    bags: Sequence[BagMessages],
    proprioception_names: Sequence[str],
    control_period: float,
    stamp_tolerance: float = 0.0,
) -> Replayed:
    """Arrange the messages of bags as steps.

    A step before the last of which no signals came is a row without values, as in a recorded run;
    rows before the first that came have no valid label, either. Steps from the end of the episode
    on are left out; the policy may have answered one more.

    Args:
        bags: whose policies give comparable signals.
        proprioception_names: columns of the body's state, as a predictor was trained with.
        control_period: seconds per step where a bag does not say.
        stamp_tolerance: largest difference of the body's stamp to that of the signals [s].

    Raises:
        BagError: the bags' policies differ, or no step is left.
    """
    _require_one_policy(bags)
    remarks: list[str] = []
    episodes = [episode for bag in bags for episode in _episodes(bag, remarks)]
    if not episodes:
        raise BagError(f"{', '.join(str(bag.path) for bag in bags)}: no step of an episode")
    info = next((bag.info for bag in bags if bag.info is not None), None)
    if info is None:
        remarks.append("signal_info is not in the bags: whether the policy fits is not checked.")
    else:
        control_period = float(info.control_period)
    size = max(len(message.embedding) for bag in bags for message in list(bag.signals.values())[:1])
    lengths = np.array([episode.length for episode in episodes])
    start = np.cumsum(lengths) - lengths
    number = int(lengths.sum())
    arrays = {
        "signals": np.full((number, len(SIGNAL_NAMES)), np.nan, np.float32),
        "valid": np.zeros((number, len(SIGNAL_NAMES)), bool),
        "proprioception": np.full((number, len(proprioception_names)), np.nan, np.float32),
        "action": np.full((number, 7), np.nan, np.float32),
        "action_std": np.full((number, 7), np.nan, np.float32),
        "embedding": np.full((number, size), np.nan, EMBEDDING_DTYPE),
    }
    stamp = np.zeros(number, np.int64)
    recorded = np.full((number, len(HORIZONS_S), len(FAILURE_TYPES)), np.nan, np.float32)
    recorded_score = np.full(number, np.nan, np.float32)
    labels = np.zeros(recorded.shape, bool)
    label_valid = np.zeros(recorded.shape[:2], bool)
    for at, episode in zip(start, episodes, strict=True):
        body = _Body(episode.bag, proprioception_names, round(1e9 * stamp_tolerance))
        for row, key in enumerate(episode.keys, start=int(at)):
            message = episode.bag.signals.get(key)
            if message is not None:
                stamp[row] = nanoseconds(message.header.stamp)
                _fill(arrays, row, message, body)
            forecast = episode.bag.forecasts.get(key)
            if forecast is not None:
                recorded[row] = np.reshape(forecast.probabilities, recorded.shape[1:])
                recorded_score[row] = forecast.score
        rows = slice(at, at + episode.length)
        labels[rows], label_valid[rows] = _labels(episode, control_period)
    hashes = {bag.predictor_hash for bag in bags if bag.forecasts}
    return Replayed(
        data=StepData(
            **arrays,
            labels=labels,
            label_valid=label_valid,
            episode=np.repeat(np.arange(len(episodes)), lengths),
            step=np.concatenate([np.arange(e.length) for e in episodes]),
            episodes=_table(episodes, start, lengths),
            proprioception_names=tuple(proprioception_names),
            control_period=control_period,
            action_spec=_action(info),
            schema_hash=info.schema_hash if info else "",
            members=int(info.members) if info else 1,
            policies=tuple(dict.fromkeys(policy for bag in bags for policy in bag.policies)),
        ),
        stamp=stamp,
        number=np.repeat([episode.number for episode in episodes], lengths),
        recorded=recorded,
        recorded_score=recorded_score,
        predictor_hashes=tuple(sorted(hashes)),
        remarks=tuple(remarks),
    )


def _action(info: Any) -> ActionSpec:
    """What the numbers of the action mean; in older bags a tool's motion."""
    if info is None:
        return TOOL_MOTION
    kinds = getattr(info, "action_kinds", ())
    if not kinds:
        return replace(TOOL_MOTION, scale=tuple(float(value) for value in info.action_scale))
    return ActionSpec.of(info.action_names, info.action_units, kinds, info.action_scale)


def _require_one_policy(bags: Sequence[BagMessages]) -> None:
    known = [bag for bag in bags if bag.info is not None]
    for bag in known[1:]:
        if bag.info.schema_hash != known[0].info.schema_hash:
            raise BagError(f"{known[0].path} and {bag.path} hold signals of different policies")


def _episodes(bag: BagMessages, remarks: list[str]) -> list[_Episode]:
    found = []
    for number in sorted({episode for episode, _ in bag.signals}):
        steps = [step for episode, step in bag.signals if episode == number]
        first, end = min(steps), max(steps) + 1
        status = bag.status.get(number)
        ended = status is not None and Outcome(status.state) != Outcome.RUNNING
        if ended:
            end = min(end, int(status.step)) if status.step > first else end
        else:
            remarks.append(f"{bag.path.name}: the end of episode {number} is not in it: censored.")
        failure = FailureType(status.failure) if ended else FailureType.NONE
        onset = int(status.onset_step) if failure else -1
        found.append(
            _Episode(
                bag=bag,
                number=number,
                first=first,
                length=end,
                outcome=Outcome(status.state) if ended else Outcome.ABORTED,
                failure=failure,
                onset=onset,
            )
        )
        if first > 0:
            remarks.append(f"{bag.path.name}: episode {number} begins at step {first}.")
        lost = end - first - len([step for step in steps if step < end])
        if lost:
            remarks.append(f"{bag.path.name}: {lost} steps of episode {number} are not in it.")
    return found


def _labels(episode: _Episode, control_period: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels of the rows of an episode; none before the recording begins."""
    found = failure_labels(
        max(episode.length, episode.onset),
        episode.outcome,
        episode.failure,
        episode.onset,
        control_period,
        intervened=episode.number in episode.bag.intervened,
    )
    valid = found.valid[: episode.length].copy()
    valid[: episode.first] = False
    return found.y[: episode.length], valid


class _Body:
    """The body's state that belongs to a stamp, as the node finds it."""

    def __init__(self, bag: BagMessages, names: Sequence[str], tolerance: int):
        self._names, self._tolerance = names, tolerance
        self._messages = [
            (np.array(sorted(messages), np.int64), messages) for messages in (bag.joints, bag.poses)
        ]

    def values(self, stamp: int) -> np.ndarray | None:
        """(P,) float32; None: it is not in the bag, or not complete."""
        found = []
        for stamps, messages in self._messages:
            if not len(stamps):
                return None
            nearest = int(stamps[np.abs(stamps - stamp).argmin()])
            if abs(nearest - stamp) > self._tolerance:
                return None
            found.append(messages[nearest])
        joints, pose = found
        values = body_values(joints, pose, self._names)
        needed = [not name.startswith("velocity.") for name in self._names]
        return values if np.isfinite(values[needed]).all() else None


def _fill(arrays: dict[str, np.ndarray], row: int, message: Any, body: _Body) -> None:
    values, _ = step_values(message, arrays["embedding"].shape[1])
    limit = np.finfo(EMBEDDING_DTYPE).max
    values["embedding"] = np.clip(values["embedding"], -limit, limit)
    for name, array in values.items():
        arrays[name][row] = array
    state = body.values(nanoseconds(message.header.stamp))
    if state is not None:
        arrays["proprioception"][row] = state


def _table(episodes: Sequence[_Episode], start: np.ndarray, lengths: np.ndarray) -> EpisodeTable:
    def texts(values: list[object]) -> np.ndarray:
        column = np.empty(len(episodes), object)
        column[:] = values
        return column

    status = [episode.bag.status.get(episode.number) for episode in episodes]
    setup = [episode.bag.setup.get(episode.number) for episode in episodes]
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
        intervened=np.array([e.number in e.bag.intervened for e in episodes], bool),
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
