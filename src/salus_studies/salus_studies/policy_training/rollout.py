# SPDX-License-Identifier: Apache-2.0
"""Episodes in the embedded world for behaviour cloning: demonstrations and DAgger rounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from salus_core.episode_store import EpisodeStart
from salus_core.failures import FailureType
from salus_core.runtime import (
    EpisodeResult,
    Observation,
    Policy,
    PolicyOutput,
    StepRecord,
    run_episode,
)
from salus_policies.backends.embedded.config import JOINTS, EmbeddedConfig
from salus_policies.backends.embedded.inputs import camera_view, proprioception_vector, tokenize
from salus_sim.environment import EmbeddedEnvironment
from salus_sim.expert_policy import ExpertPolicy
from salus_sim.referee import Verdict
from salus_sim.world.mujoco_world import MujocoWorld
from salus_studies.policy_training.frames import Frames, chunks_of
from salus_studies.policy_training.scene_values import fallen, scene_points, scene_values

_REST = 12  # steps of rest after the goal is reached that are worth learning


def policy_inputs(
    observation: Observation, previous_width: float | None, config: EmbeddedConfig
) -> tuple[np.ndarray, np.ndarray]:
    """What the network gets of a step.

    Args:
        observation: with the images of the configuration's cameras.
        previous_width: of the gripper one step before [m]; None: the episode begins.
        config: of the network.

    Returns:
        Images (C, S, S, 3) uint8 and proprioception (P,).
    """
    width = observation.gripper_width
    vector = proprioception_vector(
        observation.tool_position,
        observation.tool_quaternion,
        width,
        width if previous_width is None else previous_width,
        observation.joint_positions[:JOINTS],
    )
    views = [camera_view(observation.images[name], name, config) for name in config.cameras]
    return np.stack(views), vector


class ActionNoise:
    """Bursts of wrong motion, so that demonstrations show how to come back (DART, Laskey 2017)."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._enabled = rng.uniform() < 0.7
        self._left, self._wait = 0, int(rng.integers(5, 30))
        self._offset = np.zeros(7)

    def __call__(self, action: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """The action with this step's disturbance."""
        if not self._enabled:
            return action
        if self._left:
            self._left -= 1
            return action + self._offset * scale
        self._wait -= 1
        if self._wait <= 0:
            self._left, self._wait = int(self._rng.integers(2, 7)), int(self._rng.integers(10, 40))
            self._offset = np.zeros(7)
            self._offset[:3] = self._rng.uniform(-1, 1, 3)
            self._offset[5] = self._rng.uniform(-0.5, 0.5)
        return action


class LessonEnvironment(EmbeddedEnvironment):
    """Goes on after a drop or a missed grasp, so that the expert shows how to recover.

    A success goes on for some steps, too: the robot learns to rest.
    """

    def reset(self, seed: int) -> Observation:
        """See Environment."""
        self._rest = _REST
        return super().reset(seed)

    def is_over(self, verdict: Verdict) -> bool:
        """Whether there is nothing more to learn; see EmbeddedEnvironment."""
        truth = self.exact_truth
        if verdict.failure in (FailureType.COLLISION, FailureType.TIMEOUT):
            return True
        if fallen(truth, self.scenario) or truth.step >= self.world.scene.control["max_steps"]:
            return True
        if verdict.failure == FailureType.NONE:
            self._rest -= 1
        return self._rest < 0


class NoisyExpert:
    """The expert as a policy, with bursts of noise; see `salus_core.runtime.Policy`.

    Args:
        expert: that acts.
        environment: the only one.
        scale: (7,) one normalised action unit per dimension.

    Attributes:
        label: (7,) what the expert does at the present step without noise.
    """

    def __init__(self, expert: ExpertPolicy, environment: EmbeddedEnvironment, scale: np.ndarray):
        self._expert, self._environment, self._scale = expert, environment, scale

    def reset(self, lane: int) -> None:
        """See Policy."""
        self._expert.reset(lane)
        self._noise = ActionNoise(np.random.default_rng([self._environment.scenario.seed, 3]))

    def act(self, observations: Mapping[int, Observation]) -> dict[int, PolicyOutput]:
        """See Policy."""
        self.label = self._expert.act(observations)[0].action
        return {0: PolicyOutput(self._noise(self.label, self._scale))}


class FrameSink:
    """Keeps each step as a lesson: what is seen, and what the expert does there.

    Args:
        environment: of the episodes.
        config: of the network that learns.
        expert: labels the steps.
        actor: the expert that acts itself; None: another policy does.
    """

    def __init__(
        self,
        environment: EmbeddedEnvironment,
        config: EmbeddedConfig,
        expert: ExpertPolicy,
        actor: NoisyExpert | None = None,
    ):
        self._environment, self._config = environment, config
        self._expert, self._actor = expert, actor
        self._scale = np.array(config.action_scale)

    def begin(self, start: EpisodeStart) -> None:
        """See Sink."""
        if self._actor is None:
            self._expert.reset(0)
        self._rows: list[tuple[np.ndarray, ...]] = []
        self._width: float | None = None
        self._tokens = tokenize(start.instruction, self._config)

    def step(self, record: StepRecord) -> None:
        """See Sink."""
        seen, environment = record.observation, self._environment
        acts = self._actor is not None
        label = self._actor.label if acts else self._expert.act({0: seen})[0].action
        truth, scenario = environment.exact_truth, environment.scenario
        self._rows.append(
            (
                *policy_inputs(seen, self._width, self._config),
                label / self._scale,
                scene_values(truth, scenario, self._expert.experts[0].progress),
                scene_points(environment.world, truth, self._config),
            )
        )
        self._width = seen.gripper_width

    def end(self, result: EpisodeResult) -> None:
        """See Sink."""

    def discard(self, reason: str) -> None:
        """See Sink."""
        self._rows = []

    def frames(self) -> Frames:
        """All steps of the episode."""
        images, vectors, actions, scenes, points = (
            np.stack(column) for column in zip(*self._rows, strict=True)
        )
        count = len(self._rows)
        return Frames(
            images,
            vectors.astype(np.float32),
            np.repeat(self._tokens[None], count, 0),
            chunks_of(actions.astype(np.float32), self._config.chunk_length),
            scenes.astype(np.float32),
            points.astype(np.float32),
            np.zeros(count, dtype=np.int64),
        )


def demonstrate(
    world: MujocoWorld,
    config: EmbeddedConfig,
    seed: int,
    difficulty: str,
    tasks: Sequence[str] = (),
) -> tuple[Frames | None, EpisodeResult]:
    """Let the expert act, with bursts of noise.

    Args:
        world: the world to run in.
        config: of the network that learns.
        seed: the episode's seed.
        difficulty: of the scene.
        tasks: from which the seed draws; empty: all.

    Returns:
        The frames, None if the world refuses the seed, and how the episode ended.
    """
    environment = LessonEnvironment(world, difficulty, tasks=tasks, cameras=config.cameras)
    expert = ExpertPolicy([environment], fast_transport=False)
    policy = NoisyExpert(expert, environment, np.array(config.action_scale))
    sink = FrameSink(environment, config, expert, policy)
    return _play(environment, policy, seed, sink)


def practise(
    world: MujocoWorld,
    policy: Policy,
    config: EmbeddedConfig,
    seed: int,
    difficulty: str,
    tasks: Sequence[str] = (),
) -> tuple[Frames | None, EpisodeResult]:
    """Let a policy act, and label its steps by what the expert would do.

    Args:
        world: the world to run in.
        policy: that acts.
        config: of the same.
        seed: the episode's seed.
        difficulty: of the scene.
        tasks: from which the seed draws; empty: all.

    Returns:
        The frames, None if the world refuses the seed, and how the episode ended.
    """
    environment = LessonEnvironment(world, difficulty, tasks=tasks, cameras=config.cameras)
    expert = ExpertPolicy([environment], fast_transport=False)
    sink = FrameSink(environment, config, expert)
    return _play(environment, policy, seed, sink)


def _play(
    environment: LessonEnvironment, policy: Policy, seed: int, sink: FrameSink
) -> tuple[Frames | None, EpisodeResult]:
    result = run_episode(environment, policy, seed, sinks=[sink])
    return None if result.refused else sink.frames(), result
