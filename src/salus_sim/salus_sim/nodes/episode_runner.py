# SPDX-License-Identifier: Apache-2.0
"""Runs a number of episodes: resets the world, waits for each outcome, prints a summary, ends."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rclpy.node import Node
from rclpy.task import Future
from salus_msgs.msg import EpisodeSetup, EpisodeStatus, RecorderStatus, WorldState
from salus_msgs.srv import ResetEpisode

from salus_core.failures import FailureType
from salus_ros import qos
from salus_ros.managed_node import run
from salus_ros.parameters import declare, parameter


@dataclass
class RunnerParameters:
    """Parameters of the episode runner."""

    episodes: int = parameter(3, "Episodes to run.", minimum=1, maximum=1_000_000, read_only=True)
    seed: int = parameter(
        0, "Seed of the first episode; each next one counts up.", minimum=0, read_only=True
    )
    difficulty: str = parameter("", "Difficulty; empty: the world's own.", read_only=True)
    fault_profile: str = parameter("", "Fault profile; empty: the world's own.", read_only=True)
    record: bool = parameter(
        True, "Wait for the recorder's commit of each episode.", read_only=True
    )
    managed_nodes: list[str] = parameter(
        ["vla", "predictor", "supervisor"],
        "Managed nodes that must be active before the first episode.",
        read_only=True,
    )
    start_timeout: float = parameter(
        120.0, "Longest wait for the nodes, by the wall clock [s].", minimum=1.0, read_only=True
    )
    episode_timeout: float = parameter(
        900.0, "Longest wall time of one episode [s].", minimum=1.0, read_only=True
    )
    max_missed_commands: int = parameter(
        5,
        "In lockstep: commands missed in one episode from which on the run is given up.",
        minimum=1,
        read_only=True,
    )
    commit_timeout: float = parameter(
        60.0, "Longest wait for the recorder's commit [s].", minimum=1.0, read_only=True
    )
    # What gets lost while a busy machine's endpoints find each other comes again after 3 s, the
    # period of DDS discovery's heartbeats.
    settle_time: float = parameter(
        3.5,
        "Pause before the first reset, while endpoints find each other [s].",
        minimum=0.0,
        read_only=True,
    )


class RunnerError(RuntimeError):
    """The run cannot go on; the message says why and where to look."""


@dataclass
class Tally:
    """Figures of the episodes so far."""

    outcomes: Counter = field(default_factory=Counter)
    steps: int = 0
    seconds: float = 0.0
    gaps: int = 0
    missed: int = 0


class EpisodeRunner(Node):
    """Runs its episodes on a thread of its own while the executor spins."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("episode_runner", **kwargs)
        self._settings = declare(self, RunnerParameters)
        self.exit_code, self.stopped = 1, Future()
        self._news = threading.Condition()
        self._statuses: dict[int, EpisodeStatus] = {}
        self._recorder: RecorderStatus | None = None
        self._missed: Counter = Counter()
        self._lockstep = False
        self._reset = self.create_client(ResetEpisode, "reset_episode")
        managed = list(self._settings.managed_nodes)
        if self._settings.record:
            managed.append("recorder")
        self._lifecycles = {n: self.create_client(GetState, f"{n}/get_state") for n in managed}
        self.create_subscription(EpisodeStatus, "episode", self._on_status, qos.LATCHED)
        self.create_subscription(RecorderStatus, "recorder_status", self._on_recorder, qos.LATCHED)
        self.create_subscription(EpisodeSetup, "episode_setup", self._on_setup, qos.LATCHED)
        self.create_subscription(WorldState, "world_state", self._on_world, qos.RELIABLE)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _on_status(self, message: EpisodeStatus) -> None:
        if message.state != EpisodeStatus.STATE_RUNNING:
            with self._news:
                self._statuses[message.episode] = message
                self._news.notify_all()

    def _on_recorder(self, message: RecorderStatus) -> None:
        with self._news:
            self._recorder = message
            self._news.notify_all()

    def _on_setup(self, message: EpisodeSetup) -> None:
        self._lockstep = message.lockstep

    def _on_world(self, message: WorldState) -> None:
        self._missed[message.episode] = message.commands_missed

    def _run(self) -> None:
        try:
            self._run_episodes()
            self.exit_code = 0
        except RunnerError as error:
            self.get_logger().fatal(str(error))
        finally:
            self.stopped.set_result(None)

    def _run_episodes(self) -> None:
        parameters, tally = self._settings, Tally()
        self._wait_for_nodes()
        if parameters.record:
            self._wait(
                self._ready_recorder,
                parameters.start_timeout,
                f"the recorder is not ready after {parameters.start_timeout:g} s: a topic that it "
                "requires has no publisher",
            )
        time.sleep(parameters.settle_time)
        for index in range(parameters.episodes):
            seed = parameters.seed + index
            episode = self._start_episode(seed)
            started = time.monotonic()
            status = self._wait(
                lambda episode=episode: self._outcome(episode),
                parameters.episode_timeout,
                f"episode {episode} (seed {seed}) has no outcome after "
                f"{parameters.episode_timeout:g} s: see the warnings of the world and vla nodes",
            )
            seconds = time.monotonic() - started
            self._account(tally, index, status, seconds)
        self._print_summary(tally)

    def _ready_recorder(self) -> RecorderStatus | None:
        status = self._recorder
        if status is not None and status.state == RecorderStatus.STATE_ERROR:
            raise RunnerError(f"the recorder stopped: {status.error}")
        return status

    def _outcome(self, episode: int) -> EpisodeStatus | None:
        missed = self._missed[episode]
        if self._lockstep and missed >= self._settings.max_missed_commands:
            raise RunnerError(
                f"episode {episode}: {missed} commands have not come in time, so the policy or the "
                "supervisor is not working: see their messages above"
            )
        return self._statuses.get(episode)

    def _wait_for_nodes(self) -> None:
        deadline = time.monotonic() + self._settings.start_timeout
        if not self._reset.wait_for_service(self._settings.start_timeout):
            raise RunnerError(f"no service {self._reset.srv_name}: is the world node running?")
        waiting = set(self._lifecycles)
        while waiting:
            if time.monotonic() > deadline:
                raise RunnerError(
                    f"not active after {self._settings.start_timeout:g} s: "
                    f"{', '.join(sorted(waiting))}; see their messages above"
                )
            for name in sorted(waiting):
                if self._is_active(name):
                    waiting.discard(name)
            time.sleep(0.05)

    def _is_active(self, name: str) -> bool:
        client = self._lifecycles[name]
        if not client.service_is_ready():
            return False
        reply = self._call(client, GetState.Request(), 2.0)
        return reply is not None and reply.current_state.id == State.PRIMARY_STATE_ACTIVE

    def _start_episode(self, seed: int) -> int:
        request = ResetEpisode.Request(
            seed=seed,
            difficulty=self._settings.difficulty,
            fault_profile=self._settings.fault_profile,
        )
        reply = self._call(self._reset, request, 30.0)
        if reply is None:
            raise RunnerError(f"{self._reset.srv_name} did not answer: is the world alive?")
        if not reply.success:
            raise RunnerError(f"the world refused the reset: {reply.message}")
        return reply.episode

    def _account(self, tally: Tally, index: int, status: EpisodeStatus, seconds: float) -> None:
        failed = status.state == EpisodeStatus.STATE_FAILED
        outcome = FailureType(status.failure).name.lower() if failed else _STATES[status.state]
        text = outcome
        if failed:
            text += f" at step {status.onset_step}"
        if status.faults:
            text += " after " + ", ".join(f"{f.kind}@{f.onset_step}" for f in status.faults)
        gaps = ""
        if self._settings.record:
            recorder = self._wait_for_commit(status.episode)
            tally.gaps += recorder.last_gaps
            gaps = f", {recorder.last_gaps} gaps"
        tally.outcomes[outcome] += 1
        tally.steps += status.step
        tally.seconds += seconds
        tally.missed += self._missed.pop(status.episode, 0)
        print(
            f"episode {index + 1}/{self._settings.episodes}  seed {status.seed}: {text}  "
            f"({status.step} steps, {status.step / seconds:.1f} steps/s{gaps})  "
            f"'{status.instruction}'",
            flush=True,
        )

    def _wait_for_commit(self, episode: int) -> RecorderStatus:
        def committed() -> RecorderStatus | None:
            status = self._ready_recorder()
            if status is None or not status.episodes or status.last_episode != episode:
                return None
            return status

        return self._wait(
            committed,
            self._settings.commit_timeout,
            f"the recorder has not committed episode {episode} after "
            f"{self._settings.commit_timeout:g} s: see its messages",
        )

    def _print_summary(self, tally: Tally) -> None:
        count = sum(tally.outcomes.values())
        rows = [("episodes", str(count))]
        for outcome, number in sorted(tally.outcomes.items(), key=lambda item: -item[1]):
            rows.append((f"  {outcome}", f"{number}  ({100 * number / count:.0f} %)"))
        rows.append(("steps", str(tally.steps)))
        rows.append(("steps/s", f"{tally.steps / tally.seconds:.1f}"))
        rows.append(("commands missed", str(tally.missed)))
        if self._settings.record:
            recorder = self._recorder
            rows.append(("gaps", f"{tally.gaps} steps ({100 * tally.gaps / tally.steps:.2f} %)"))
            rows.append(("dropped messages", str(recorder.dropped)))
            rows.append(("bytes/step", f"{recorder.bytes / tally.steps:.0f}"))
            rows.append(("run", recorder.run))
        width = max(len(name) for name, _ in rows)
        print("\n".join(f"{name:<{width}}  {value}" for name, value in rows), flush=True)

    def _wait(self, get: Callable, timeout: float, problem: str):
        deadline = time.monotonic() + timeout
        with self._news:
            while (value := get()) is None:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise RunnerError(problem)
                self._news.wait(min(left, 0.5))
            return value

    def _call(self, client, request, timeout: float):
        done = threading.Event()
        future = client.call_async(request)
        future.add_done_callback(lambda _: done.set())
        if not done.wait(timeout):
            client.remove_pending_request(future)
            return None
        return future.result()


_STATES = {
    EpisodeStatus.STATE_SUCCEEDED: "success",
    EpisodeStatus.STATE_ABORTED: "aborted",
}


def main() -> int:
    """Run the episodes."""
    return run(EpisodeRunner)
