# SPDX-License-Identifier: Apache-2.0
"""One process's environment, policy and monitor, and episodes that branch off from a log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from salus_core.failures import Taxonomy
from salus_core.predictors.checkpoint import load_checkpoint
from salus_core.prevention.scene_head import SceneHead
from salus_core.prevention.supervisor import ActingSupervisor
from salus_core.runtime import (
    EpisodeResult,
    Monitored,
    Observation,
    PolicyOutput,
    Sink,
    StepRecord,
    Supervisor,
    run_episode,
)
from salus_core.runtime.monitor import SignalMonitor
from salus_core.runtime.supervising import LimitSupervisor
from salus_core.signals import DEFAULT_WINDOW
from salus_policies.backends.base import LoadOptions
from salus_policies.backends.registry import backend_class
from salus_policies.policy import BackendPolicy, signal_computer
from salus_policies.robot import RobotDescription
from salus_sim.environment import EmbeddedEnvironment
from salus_sim.scene import load_scene
from salus_sim.world.mujoco_world import MujocoWorld
from salus_studies.prevention_study.episode_log import EpisodeLog, LoggedStep

REFUSED = "refused"


class StudyError(ValueError):
    """A study cannot be made, or an episode was not the same again; the message says which."""


@dataclass(frozen=True)
class RigSettings:
    """What an environment runs with.

    Attributes:
        predictor: folder of the checkpoint that forecasts.
        scene_head: folder of the head that estimates the scene; empty: the policy's own.
        policy: name of the backend.
        checkpoint: as the backend takes it.
        difficulty: of the scenes.
        profile: of injected faults.
    """

    predictor: str
    scene_head: str = ""
    policy: str = "embedded"
    checkpoint: str = "default"
    difficulty: str = "standard"
    profile: str = "mixed"


@dataclass
class Branch:
    """How an episode went with a supervisor that acts.

    Attributes:
        outcome: 'success' or the type of failure.
        steps: until it was certain.
        onset: first step of the failure.
        description: for people.
        first: the first step whose action was changed; -1: none was.
        changed: number of such steps.
        tries: interventions.
        manoeuvres: number of steps by manoeuvre.
        triggered: by type of failure, the step from which on it was acted on.
    """

    outcome: str
    steps: int
    onset: int
    description: str
    first: int = -1
    changed: int = 0
    tries: int = 0
    manoeuvres: dict[str, int] = field(default_factory=dict)
    triggered: dict[str, int] = field(default_factory=dict)


class Rig:
    """Runs episodes with and without interventions.

    Args:
        settings: of the environment.

    Raises:
        BackendError: the policy cannot be loaded.
        CheckpointError: the predictor cannot.
        SceneHeadError: the scene head cannot.
    """

    def __init__(self, settings: RigSettings):
        scene = load_scene()
        backend = backend_class(settings.policy).load(settings.checkpoint, LoadOptions())
        arm = scene.arm
        robot = RobotDescription(
            tuple(arm["joint_names"]), tuple(arm["joint_lower"]), tuple(arm["joint_upper"])
        )
        backend.bind(robot)
        info = backend.info
        self.predictor, _ = load_checkpoint(settings.predictor)
        head = backend.scene_head
        if settings.scene_head:
            head = SceneHead.load(settings.scene_head)
            head.require_policy(info.weights_hash)
        self.hashes = {
            "policy": info.weights_hash,
            "scene_head": "" if head is None else head.hash,
        }
        """What else an episode depends on."""
        self.spec, self.cameras = info.action, tuple(info.cameras)
        self.world = MujocoWorld(scene)
        self.environment = EmbeddedEnvironment(
            self.world, settings.difficulty, settings.profile, cameras=self.cameras
        )
        joints = range(len(robot.joint_names))
        self.policy = _ResumedPolicy(BackendPolicy(backend, 1, joints), self.environment)
        self.monitor = SignalMonitor(
            partial(signal_computer, info, DEFAULT_WINDOW, robot.joint_lower, robot.joint_upper),
            info.action,
            joints,
            self.predictor,
            self.environment.joint_names,
            head,
            alternatives=True,
        )

    @property
    def taxonomy(self) -> Taxonomy:
        """Of the forecasts."""
        return self.predictor.taxonomy

    @property
    def control_period(self) -> float:
        """Time between two steps [s]."""
        return self.environment.control_period

    def close(self) -> None:
        """Free the renderer."""
        self.world.close()

    def base(self, seed: int) -> EpisodeLog:
        """An episode without interventions."""
        log: list[LoggedStep] = []
        self.policy.begin()
        result = self._run(seed, LimitSupervisor(self.spec), _LogSink(log))
        if result.refused:
            return EpisodeLog(seed, REFUSED, 0, -1, result.refused, {})
        return EpisodeLog(
            seed,
            result.name,
            result.steps,
            result.onset_step,
            result.description,
            self._about(result),
            tuple(log),
        )

    def watch(self, seed: int, supervisor: Supervisor, sink: Sink) -> EpisodeResult:
        """A whole episode with every picture drawn.

        Args:
            seed: of the episode.
            supervisor: decides.
            sink: gets each step.
        """
        self.policy.begin()
        return self._run(seed, supervisor, sink)

    def branch(self, base: EpisodeLog, supervisor: ActingSupervisor) -> Branch:
        """The same episode with a supervisor: equal up to its first intervention.

        Raises:
            StudyError: what is seen at that step is not what the log holds.
        """
        asks = "resample" in supervisor.table.manoeuvres
        # What the predictor would say of other actions is in no log: the whole episode runs again.
        first = 0 if asks else first_change(base, supervisor)
        triggered = dict(supervisor.trigger.first)
        if first < 0:
            found = Branch(base.outcome, base.steps, base.onset, base.description)
        else:
            supervisor.reset()
            self.policy.begin(base.log, first)
            counter = _CountingSink()
            result = self._run(base.seed, supervisor, counter)
            if counter.first != first and not asks:
                raise StudyError(
                    f"seed {base.seed}: the first intervention was at step {counter.first}, by the "
                    f"log at {first}"
                )
            found = Branch(
                result.name,
                result.steps,
                result.onset_step,
                result.description,
                counter.first,
                counter.changed,
                supervisor.tries,
                counter.manoeuvres,
            )
            triggered = dict(supervisor.trigger.first)
        return replace(found, triggered=triggered)

    def _run(self, seed: int, supervisor: Supervisor, sink: Sink) -> EpisodeResult:
        self.environment.cameras = self.cameras
        return run_episode(self.environment, self.policy, seed, self.monitor, supervisor, [sink])

    def _about(self, result: EpisodeResult) -> dict[str, Any]:
        scenario = self.environment.scenario
        target, obstacle = scenario.objects[scenario.target], scenario.obstacle
        return {
            "task": scenario.task,
            "oily": bool(target.slippery),
            "wall": None if obstacle is None else round(float(obstacle[5]), 4),
            "bent": bool(np.abs(scenario.camera_offsets["wrist"][3:]).max() > 0.3),
            "faults": sorted({fault.kind for fault in result.faults}),
        }


def first_change(base: EpisodeLog, supervisor: ActingSupervisor) -> int:
    """The first logged step whose action a supervisor changes; -1: it changes none."""
    supervisor.reset()
    for step in base.log:
        decision = supervisor.decide(step.observation, step.monitored)
        if decision.manoeuvre:
            return step.observation.step
    return -1


class _LogSink:
    """Keeps the steps of an episode."""

    def __init__(self, log: list[LoggedStep]):
        self._log = log

    def begin(self, start: Any) -> None:
        """See Sink."""

    def step(self, record: StepRecord) -> None:
        """See Sink."""
        assert record.proposal is not None
        assert record.output is not None
        monitored = Monitored(record.proposal, record.forecast, record.scene)
        observation = replace(record.observation, images={})
        self._log.append(LoggedStep(observation, record.output, monitored))

    def end(self, result: EpisodeResult) -> None:
        """See Sink."""

    def discard(self, reason: str) -> None:
        """See Sink."""
        self._log.clear()


class _CountingSink(_LogSink):
    """Counts the steps whose action was changed."""

    def __init__(self) -> None:
        super().__init__([])
        self.first, self.changed = -1, 0
        self.manoeuvres: dict[str, int] = {}

    def step(self, record: StepRecord) -> None:
        """See Sink."""
        if record.manoeuvre:
            self.first = record.step if self.first < 0 else self.first
            self.changed += 1
            self.manoeuvres[record.manoeuvre] = self.manoeuvres.get(record.manoeuvre, 0) + 1


class _ResumedPolicy:
    """A policy that repeats a log up to a step, and draws nothing before.

    Only the first step and the one before the resumption are computed, as a policy may remember
    them. At the step of the resumption the policy must say again what the log holds.
    """

    def __init__(self, policy: BackendPolicy, environment: EmbeddedEnvironment):
        self._policy, self._environment = policy, environment
        self._cameras = environment.cameras
        self.begin()

    def begin(self, log: tuple[LoggedStep, ...] = (), step: int = 0) -> None:
        """Repeat a log up to a step in the next episode; no log: from the beginning on."""
        self._log, self._resume = log, step

    def reset(self, lane: int) -> None:
        """See Policy."""
        self._policy.reset(lane)

    def act(self, observations: Mapping[int, Observation]) -> Mapping[int, PolicyOutput]:
        """See Policy."""
        step = observations[0].step
        drawn = step + 1 >= self._resume - 1
        self._environment.cameras = self._cameras if drawn else ()
        if step >= self._resume or step in (0, self._resume - 1):
            outputs = self._policy.act(observations)
        if step < self._resume:
            return {0: self._log[step].output}
        if self._log and step == self._resume:
            expected = self._log[step].output
            if not np.array_equal(outputs[0].action, expected.action):
                raise StudyError(f"at step {step} the policy proposes another action than before")
        return outputs


def folder_of(path: str) -> str:
    """A folder's absolute path, as processes may start elsewhere."""
    return str(Path(path).expanduser().resolve()) if path else ""
