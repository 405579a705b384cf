"""Episodes in the embedded world for behaviour cloning: demonstrations and DAgger rounds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from salus_core.failures import FailureType
from salus_policies.backends.base import sampling_key
from salus_policies.backends.embedded.config import JOINTS, EmbeddedConfig
from salus_policies.backends.embedded.ensemble import EmbeddedEnsemble
from salus_policies.backends.embedded.inputs import (
    camera_view,
    executable_action,
    proprioception_vector,
    tokenize,
)
from salus_sim.experts import expert_for
from salus_sim.referee import Referee, Verdict
from salus_sim.world.mujoco_world import MujocoWorld, WorldTruth
from salus_studies.policy_training.frames import Frames, chunks_of
from salus_studies.policy_training.scene_values import fallen, scene_points, scene_values

_ENDED_BY_EXPERT = 12  # steps of rest after the goal is reached that are worth learning


class InputReader:
    """Makes the policy's inputs from a world in process, exactly as the node does from messages."""

    def __init__(self, config: EmbeddedConfig, world: MujocoWorld) -> None:
        self._config, self._world = config, world
        self.start()

    def start(self) -> None:
        """Begin an episode."""
        self._width: float | None = None

    def read(self, truth: WorldTruth) -> tuple[np.ndarray, np.ndarray]:
        """Images (C, S, S, 3) uint8 and proprioception (P,) of the present step."""
        images = np.stack(
            [camera_view(self._world.render(c), c, self._config) for c in self._config.cameras]
        )
        width = truth.gripper_width
        vector = proprioception_vector(
            truth.tool_position,
            truth.tool_quaternion,
            width,
            width if self._width is None else self._width,
            truth.joint_positions[:JOINTS],
        )
        self._width = width
        return images, vector


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


def run_episode(
    world: MujocoWorld,
    config: EmbeddedConfig,
    seed: int,
    difficulty: str,
    act: Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray] | None,
    record: bool = True,
    fault_profile: str = "none",
    tasks: tuple[str, ...] = (),
    wording: str = "seen",
) -> tuple[Frames | None, Verdict]:
    """Run one episode and label each step by the expert.

    Args:
        world: the world to run in.
        config: the policy's configuration.
        seed: the episode's seed.
        difficulty: the episode's difficulty.
        act: from images, proprioception, tokens and step to an action (7,) in physical units;
            None lets the expert act, with bursts of noise.
        record: keep the frames; a DAgger episode then goes on after a drop or a miss, so that the
            expert shows how to recover.
        fault_profile: faults to inject.
        tasks: from which the seed draws; empty: all.
        wording: 'seen' or 'unseen'; see `salus_sim.tasks`.

    Returns:
        The frames (None unless recorded) and the referee's first verdict.
    """
    scene, scale = world.scene, np.array(config.action_scale)
    truth = world.reset(seed, difficulty, fault_profile, tasks=tasks, wording=wording)
    scenario = world.scenario
    max_steps = scene.control["max_steps"]
    referee = Referee.of(scene, scenario)
    expert, reader = expert_for(scene, scenario, hurries=False), InputReader(config, world)
    noise = ActionNoise(np.random.default_rng([seed, 3]))
    tokens = tokenize(scenario.instruction, config)
    rows: list[tuple] = []
    verdict = referee.update(truth)
    rest = _ENDED_BY_EXPERT
    while True:
        label = expert.act(truth) if record or act is None else None
        images = vector = None
        if record or act is not None:
            images, vector = reader.read(truth)
        if record:
            values = scene_values(truth, scenario, expert.progress)
            points = scene_points(world, truth, config)
            rows.append((images, vector, label / scale, values, points))
        action = act(images, vector, tokens, truth.step) if act else noise(label, scale)
        truth = world.step(action)
        if verdict is None:
            verdict = referee.update(truth)
        if verdict is None:
            continue
        hopeless = verdict.failure in (FailureType.COLLISION, FailureType.TIMEOUT)
        if (
            not record
            or hopeless
            or fallen(truth, scenario)
            or truth.step >= max_steps
            or rest == 0
        ):
            break
        if verdict.failure == FailureType.NONE:
            rest -= 1
    if not record:
        return None, verdict
    images, vectors, actions, scenes, points = (
        np.stack(column) for column in zip(*rows, strict=True)
    )
    count = len(rows)
    frames = Frames(
        images,
        vectors.astype(np.float32),
        np.repeat(tokens[None], count, 0),
        chunks_of(actions.astype(np.float32), config.chunk_length),
        scenes.astype(np.float32),
        points.astype(np.float32),
        np.zeros(count, dtype=np.int64),
    )
    return frames, verdict


def actor(ensemble: EmbeddedEnsemble):
    """The ensemble's executed action as a function for `run_episode`."""
    config, key = ensemble.config, 0

    def act(images: np.ndarray, vector: np.ndarray, tokens: np.ndarray, step: int) -> np.ndarray:
        nonlocal key
        views = dict(zip(config.cameras, images, strict=True))
        if step == 0:
            key = sampling_key(views, vector)
        output = ensemble.act(views, vector, tokens)
        return executable_action(output.means[:, 0], output.stds[:, 0], key, step, config)

    return act
