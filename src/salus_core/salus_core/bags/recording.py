# SPDX-License-Identifier: Apache-2.0
"""What a bag holds of a monitored policy, by episodes: matched as a live node matches it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from salus_core.bags.errors import BagError
from salus_core.bags.reading import SIGNALS, read_messages
from salus_core.messages.episodes import Episode, EpisodeTracker
from salus_core.messages.proprioception import JOINT_STATES, TOOL_POSE, BodyNames
from salus_core.messages.stamps import NS
from salus_core.messages.synchroniser import Matched, Synchroniser
from salus_core.supervision import WATCHDOG

WAIT = 1.0
"""Signals wait so long for the body's state, as the node's parameter `input_wait` [s]."""

_REMARKS = 20
"""Restarts that are told one by one; further ones are counted."""


@dataclass
class Steps:
    """Messages of one episode, by step.

    Attributes:
        signals: the first VlaSignals of each step; others are repetitions.
        body: (P,) float32 proprioception of steps that have it.
        forecasts: FailureForecast with numbers.
        intervened: the supervisor changed an action.
    """

    signals: dict[int, Any] = field(default_factory=dict)
    body: dict[int, np.ndarray] = field(default_factory=dict)
    forecasts: dict[int, Any] = field(default_factory=dict)
    intervened: bool = False


@dataclass
class Recording:
    """One bag.

    Attributes:
        path: of the bag, without symbolic links.
        episodes: in the order in which they began; a number may be there several times.
        steps: of each episode, by its position.
        info: the first SignalInfo; None: not recorded.
        policies: (name, hash) of every SignalInfo, in the order in which they came.
        predictor_hash: of the predictor that made the forecasts; empty: not known.
        forecast_info: the last ForecastInfo; None: not recorded.
        remarks: what a reader must know.
        missing: a sentence for each input of the body that signals lacked.
    """

    path: Path
    episodes: list[Episode] = field(default_factory=list)
    steps: dict[int, Steps] = field(default_factory=dict)
    info: Any = None
    policies: dict[tuple[str, str], None] = field(default_factory=dict)
    predictor_hash: str = ""
    forecast_info: Any = None
    remarks: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def read_bag(
    path: Path,
    namespace: str = "",
    proprioception_names: tuple[str, ...] = (),
    stamp_tolerance: float = 0.0,
) -> Recording:
    """Read a bag, message by message in the order of receipt.

    Args:
        path: a bag's folder, or a file of one.
        namespace: of the topics, as in `/salus`; empty: the only one that has vla_signals.
        proprioception_names: columns of the body's state; empty: it is not read.
        stamp_tolerance: largest difference of the body's stamp to that of the signals [s].

    Raises:
        BagError: it cannot be read, or holds no signals.
    """
    reader = _Reader(path.resolve(), proprioception_names, stamp_tolerance)
    recording = reader.recording
    for received in read_messages(recording.path, namespace, recording.remarks.append):
        reader.take(received.topic, received.message, received.time)
    reader.finish()
    if not any(steps.signals for steps in recording.steps.values()):
        raise BagError(f"{path}: {SIGNALS} holds no message")
    return recording


class _Reader:
    def __init__(self, path: Path, names: tuple[str, ...], tolerance: float):
        self.recording = Recording(path)
        self._names = BodyNames(names)
        self._restarts = 0
        self._tracker = EpisodeTracker(keep=None, on_restart=self._on_restart)
        self._sync = Synchroniser(
            self._names.inputs(),
            self._on_matched,
            tolerance,
            WAIT,
            on_restart=self._on_restart,
        )
        self._inputs = {one.name for one in self._names.inputs()}
        self._other_info = ""

    def take(self, topic: str, message: Any, time: int) -> None:
        """Put a message where it belongs."""
        recording = self.recording
        if topic in (JOINT_STATES, TOOL_POSE):
            if topic in self._inputs:
                self._sync.add(topic, message, time / NS)
        elif topic == SIGNALS:
            episode = self._tracker.step(topic, message)
            steps = self._steps(episode)
            if message.step not in steps.signals:
                steps.signals[message.step] = message
                key = (episode.position, message.step)
                self._sync.add_anchor(message, time / NS, key, episode.position)
        elif topic == "signal_info":
            self._take_info(message)
        elif topic == "episode":
            self._tracker.status(message)
        elif topic == "episode_setup":
            self._tracker.setup(message)
        elif topic == "intervention":
            steps = self._steps(self._tracker.step(topic, message))
            decided = not message.reason.startswith(WATCHDOG)
            steps.intervened |= decided and message.kind != message.KIND_PASS
        elif topic == "failure_forecast":
            if len(message.probabilities):
                steps = self._steps(self._tracker.step(topic, message))
                steps.forecasts[message.step] = message
        elif topic == "forecast_info":
            recording.forecast_info = message
            recording.predictor_hash = message.predictor_hash

    def finish(self) -> None:
        """Nothing more will come."""
        self._sync.finish()
        recording = self.recording
        recording.missing = self._sync.problems()
        recording.episodes = list(self._tracker.episodes)
        if self._restarts > _REMARKS:
            recording.remarks.append(
                f"{recording.path.name}: numbers or stamps began again {self._restarts} times."
            )

    def _take_info(self, message: Any) -> None:
        recording = self.recording
        if recording.info is None:
            recording.info = message
        elif message.schema_hash != recording.info.schema_hash:
            raise BagError(
                f"{recording.path} holds signals of different policies: signal_info changes its "
                f"schema_hash from {recording.info.schema_hash[:12]} to {message.schema_hash[:12]}"
            )
        recording.policies[message.policy, message.policy_hash] = None

    def _steps(self, episode: Episode) -> Steps:
        return self.recording.steps.setdefault(episode.position, Steps())

    def _on_matched(self, matched: Matched) -> None:
        if matched.complete and self._names.names:
            position, step = matched.key
            self.recording.steps[position].body[step] = self._names.values(matched.values)

    def _on_restart(self, sentence: str) -> None:
        self._restarts += 1
        if self._restarts <= _REMARKS:
            self.recording.remarks.append(f"{self.recording.path.name}: {sentence}.")
