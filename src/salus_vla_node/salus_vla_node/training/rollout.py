"""Episodes in the embedded world for behaviour cloning: demonstrations and DAgger rounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from salus_core.failures import FailureType
from salus_sim.experts import expert_for
from salus_sim.referee import Referee, Verdict
from salus_sim.scenario import Scenario
from salus_sim.world.mujoco_world import MujocoWorld, WorldTruth
from salus_vla_node.backends.embedded.config import EmbeddedConfig
from salus_vla_node.backends.embedded.inputs import proprioception_vector, resize_area, tokenize

_ENDED_BY_EXPERT = 12  # steps of rest after the goal is reached that are worth learning
_GRASP_RANGE, _CLEARANCE_RANGE = 0.08, 0.15  # [m]


@dataclass
class Frames:
    """Steps of one or many episodes; the first dimension of every array is the step.

    Attributes:
        images: (N, C, S, S, 3) uint8.
        proprioception: (N, P) float32.
        tokens: (N, W) int64.
        action: (N, 7) float32, the expert's, normalised action units.
        scene: (N, S) float32, named by `EmbeddedConfig.scene_targets`; NaN where not defined.
        episode: (N,) int64, numbers of the episodes in rising order.
    """

    images: np.ndarray
    proprioception: np.ndarray
    tokens: np.ndarray
    action: np.ndarray
    scene: np.ndarray
    episode: np.ndarray

    def __len__(self) -> int:
        return len(self.episode)

    @classmethod
    def join(cls, parts: list[Frames]) -> Frames:
        """Lay parts end to end, giving every episode a number of its own."""
        offset, numbers = 0, []
        for part in parts:
            numbers.append(part.episode + offset)
            offset += int(part.episode.max()) + 1
        joined = {
            f.name: np.concatenate([getattr(part, f.name) for part in parts])
            for f in fields(cls)
            if f.name != "episode"
        }
        return cls(**joined, episode=np.concatenate(numbers))

    def save(self, path) -> None:
        """Write to a compressed NumPy archive."""
        np.savez_compressed(path, **{f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def load(cls, path) -> Frames:
        """Read what `save` wrote."""
        with np.load(path) as archive:
            return cls(**{f.name: archive[f.name] for f in fields(cls)})


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
            [
                resize_area(self._world.render(c), self._config.image_size)
                for c in self._config.cameras
            ]
        )
        width = truth.gripper_width
        vector = proprioception_vector(
            truth.tool_position,
            truth.tool_quaternion,
            width,
            width if self._width is None else self._width,
            truth.joint_positions,
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
    act: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray] | None,
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
        act: from images, proprioception and tokens to an action (7,) in physical units; None lets
            the expert act, with bursts of noise.
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
    expert, reader = expert_for(scene, scenario), InputReader(config, world)
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
            rows.append(
                (images, vector, label / scale, _scene_values(truth, scenario, expert.progress))
            )
        action = act(images, vector, tokens) if act else noise(label, scale)
        truth = world.step(action)
        if verdict is None:
            verdict = referee.update(truth)
        if verdict is None:
            continue
        hopeless = verdict.failure in (FailureType.COLLISION, FailureType.TIMEOUT)
        if not record or hopeless or truth.step >= max_steps or rest == 0:
            break
        if verdict.failure == FailureType.NONE:
            rest -= 1
    if not record:
        return None, verdict
    images, vectors, actions, scenes = (np.stack(column) for column in zip(*rows, strict=True))
    count = len(rows)
    frames = Frames(
        images,
        vectors.astype(np.float32),
        np.repeat(tokens[None], count, 0),
        actions.astype(np.float32),
        scenes.astype(np.float32),
        np.zeros(count, dtype=np.int64),
    )
    return frames, verdict


def _scene_values(truth: WorldTruth, scenario: Scenario, progress: float) -> np.ndarray:
    """The values named by `config.SCENE_TARGETS`; lengths in metres."""
    target = truth.object_poses[scenario.target][:3]
    tool, obstacle = truth.tool_position, scenario.obstacle
    there = [0.0, np.nan, np.nan, np.nan]
    if obstacle is not None:
        there = [1.0, obstacle[0], obstacle[1], obstacle[5]]
    others = [pose[:2] for name, pose in truth.object_poses.items() if name != scenario.target]
    nearest = min(others, key=lambda p: np.linalg.norm(p - tool[:2]), default=(np.nan, np.nan))
    return np.array(
        [
            *target,
            *scenario.goal,
            *there,
            *nearest,
            *np.clip(target - tool, -_GRASP_RANGE, _GRASP_RANGE),
            _clearance(tool, obstacle),
            float(truth.grasped_object == scenario.target),
            float(scenario.objects[scenario.target].slippery),
            progress,
        ]
    )


def _clearance(tool: np.ndarray, obstacle: np.ndarray | None) -> float:
    """Distance of the tool point from the obstacle's box, at most _CLEARANCE_RANGE [m]."""
    if obstacle is None:
        return _CLEARANCE_RANGE
    x, y, yaw, half_x, half_y, height = obstacle
    along, across = np.array([np.cos(yaw), np.sin(yaw)]), np.array([-np.sin(yaw), np.cos(yaw)])
    offset = tool[:2] - (x, y)
    outside = [abs(offset @ along) - half_x, abs(offset @ across) - half_y, tool[2] - height]
    return min(float(np.linalg.norm(np.maximum(outside, 0.0))), _CLEARANCE_RANGE)
