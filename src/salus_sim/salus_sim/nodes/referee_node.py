# SPDX-License-Identifier: Apache-2.0
"""The referee as a node: ground truth in, the episode's status and failure events out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from builtin_interfaces.msg import Time
from rclpy.node import Node
from salus_msgs.msg import EpisodeSetup, EpisodeStatus, FailureEvent, WorldState
from std_msgs.msg import Header

from salus_core.failures import FailureType
from salus_ros import qos
from salus_ros.diagnostics import Diagnostics, DiagnosticsParameters
from salus_ros.managed_node import run
from salus_ros.parameters import ParameterError, declare, parameter
from salus_sim.nodes.referee_messages import make_referee, truth_of
from salus_sim.referee import Referee, Verdict
from salus_sim.scene import SceneError, load_scene

MAX_WAITING = 50  # states kept while the setup of their episode has not come


@dataclass
class RefereeParameters(DiagnosticsParameters):
    """Parameters of the referee."""

    scene_file: str = parameter(
        "",
        "YAML file whose section 'referee' holds the thresholds; empty: salus_sim's.",
        read_only=True,
    )


class RefereeNode(Node):
    """Judges every episode of one world."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("referee", **kwargs)
        parameters = declare(self, RefereeParameters)
        try:
            self._scene = load_scene(parameters.scene_file or None)
        except SceneError as error:
            raise ParameterError([str(error)]) from error
        self._diagnostics = Diagnostics(self, parameters)
        self._setup: EpisodeSetup | None = None
        self._referee: Referee | None = None  # None: no episode is running
        self._stamps: dict[int, Time] = {}
        self._last: WorldState | None = None
        self._waiting: list[WorldState] = []
        self._status = self.create_publisher(EpisodeStatus, "episode", qos.LATCHED)
        self._event = self.create_publisher(FailureEvent, "failure_event", qos.RELIABLE)
        self.create_subscription(EpisodeSetup, "episode_setup", self._on_setup, qos.LATCHED)
        self.create_subscription(WorldState, "world_state", self._on_state, qos.RELIABLE)

    def _on_setup(self, setup: EpisodeSetup) -> None:
        if self._referee is not None:
            self._end(EpisodeStatus.STATE_ABORTED, self._last or WorldState())
        self._setup, self._last, self._stamps = setup, None, {}
        self._referee = make_referee(self._scene, setup)
        status = self._make_status(EpisodeStatus.STATE_RUNNING)
        status.header = setup.header
        self._status.publish(status)
        waiting, self._waiting = self._waiting, []
        for state in waiting:
            self._on_state(state)

    def _on_state(self, state: WorldState) -> None:
        if self._setup is None or state.episode > self._setup.episode:
            self._waiting = [*self._waiting[-MAX_WAITING:], state]
            return
        if self._referee is None or state.episode != self._setup.episode:
            return
        expected = self._last.step + 1 if self._last else 0
        if state.step != expected:
            self._diagnostics.drop()
            self.get_logger().warning(
                f"episode {state.episode}: expected the state of step {expected}, got {state.step}"
            )
            if state.step < expected:
                return
        self._last = state
        self._stamps[state.step] = state.header.stamp
        if self._setup.target_object not in state.object_names:
            self.get_logger().error(
                f"world_state lacks the target '{self._setup.target_object}' of episode_setup",
                throttle_duration_sec=5.0,
            )
            return
        verdict = self._referee.update(truth_of(state))
        self._diagnostics.count()
        if verdict is None:
            return
        failed = verdict.failure != FailureType.NONE
        if failed:
            self._publish_event(state, verdict)
        self._end(
            EpisodeStatus.STATE_FAILED if failed else EpisodeStatus.STATE_SUCCEEDED, state, verdict
        )

    def _publish_event(self, state: WorldState, verdict: Verdict) -> None:
        self._event.publish(
            FailureEvent(
                header=Header(
                    stamp=self._onset_stamp(verdict, state), frame_id=state.header.frame_id
                ),
                episode=state.episode,
                failure=int(verdict.failure),
                onset_step=verdict.onset_step,
                detection_step=verdict.step,
                description=verdict.description,
            )
        )

    def _onset_stamp(self, verdict: Verdict, state: WorldState) -> Time:
        return self._stamps.get(verdict.onset_step, state.header.stamp)

    def _end(self, state_code: int, state: WorldState, verdict: Verdict | None = None) -> None:
        status = self._make_status(state_code)
        status.header, status.step, status.faults = state.header, state.step, state.faults
        if verdict is not None and verdict.failure != FailureType.NONE:
            status.failure = int(verdict.failure)
            status.onset_step = verdict.onset_step
            status.onset_stamp = self._onset_stamp(verdict, state)
        self._status.publish(status)
        self._referee = None
        text = verdict.description if verdict else "aborted"
        self.get_logger().debug(f"episode {status.episode} ended at step {status.step}: {text}")

    def _make_status(self, state_code: int) -> EpisodeStatus:
        setup = self._setup
        return EpisodeStatus(
            state=state_code,
            episode=setup.episode,
            instruction=setup.instruction,
            seed=setup.seed,
        )


def main() -> int:
    """Run the referee."""
    return run(RefereeNode)
