"""Single views of many scenes from anywhere in the task, labelled by the expert.

A few hundred episodes show a few hundred scenes, which a network learns by heart: it then finds the
target on the scenes of its training and nowhere else. A glimpse costs two images and a scene of
its own.
"""

from __future__ import annotations

import numpy as np

from salus_sim.experts import expert_for
from salus_sim.tasks import PUSH
from salus_sim.world.mujoco_world import MujocoWorld, WorldTruth
from salus_vla_node.backends.embedded.config import EmbeddedConfig
from salus_vla_node.backends.embedded.inputs import tokenize
from salus_vla_node.training.frames import Frames
from salus_vla_node.training.rollout import InputReader
from salus_vla_node.training.scene_values import scene_points, scene_values

_HELD, _NEAR = 0.35, 0.6  # share with the target in hand; of the others, share near the target
_LOW, _HIGH = (0.30, -0.34, 0.014), (0.68, 0.34, 0.40)  # of the tool point [m]
_SETTLING = 4  # steps until the fingers hold
_LOOKS = 6  # of the expert at the same state
_TURN = {PUSH: 1.2}  # largest yaw of the hand [rad]
_SMALL_TURN = 0.5  # of other tasks


def glimpse(
    world: MujocoWorld, config: EmbeddedConfig, seed: int, difficulty: str
) -> Frames | None:
    """One step of a scene with the arm somewhere in its task.

    Args:
        world: the world to look at.
        config: the policy's configuration.
        seed: of the scene and the arm's pose.
        difficulty: of the scene.

    Returns:
        One step, or None if the arm cannot be there.
    """
    rng = np.random.default_rng([seed, 5])
    world.reset(seed, difficulty, "none")
    truth = _somewhere(world, rng)
    if truth is None:
        return None
    scenario, scale = world.scenario, np.array(config.action_scale)
    expert, reader = expert_for(world.scene, scenario), InputReader(config, world)
    for _ in range(_LOOKS):  # its phase follows from the state within so many looks
        action = expert.act(truth)
    images, vector = reader.read(truth)
    values = scene_values(truth, scenario, expert.progress)
    points = scene_points(world, truth, config.cameras)
    chunk = []
    for _ in range(config.chunk_length):
        chunk.append(action / scale)
        truth = world.step(action)
        action = expert.act(truth)
    return Frames(
        images=images[None],
        proprioception=vector[None].astype(np.float32),
        tokens=tokenize(scenario.instruction, config)[None],
        chunk=np.stack(chunk)[None].astype(np.float32),
        scene=values[None].astype(np.float32),
        points=points[None].astype(np.float32),
        episode=np.zeros(1, dtype=np.int64),
    )


def _somewhere(world: MujocoWorld, rng: np.random.Generator) -> WorldTruth | None:
    scenario = world.scenario
    target = scenario.objects[scenario.target].position
    in_hand = scenario.task != PUSH and rng.uniform() < _HELD
    place = rng.uniform(_LOW, _HIGH)
    if in_hand:
        # Half of them above the goal, where it matters most.
        if rng.uniform() < 0.5:
            place[:2] = scenario.goal[:2] + rng.normal(0.0, 0.04, 2)
            place[2] = scenario.goal[2] + rng.uniform(0.03, 0.20)
    elif rng.uniform() < _NEAR:
        place[:2] = target[:2] + rng.normal(0.0, 0.04, 2)
        place[2] = rng.uniform(0.02, 0.20)
        if scenario.task == PUSH and rng.uniform() < 0.5:
            place = np.array([*target[:2] + rng.normal(0.0, 0.012, 2), rng.uniform(0.014, 0.06)])
    largest = _TURN.get(scenario.task, _SMALL_TURN)
    turn = rng.uniform(-largest, largest)
    opening = 0.0 if in_hand else 1.0
    truth = world.move_to(np.clip(place, _LOW, _HIGH), turn, opening, in_hand)
    if truth is None or not in_hand:
        return truth
    for _ in range(_SETTLING):
        truth = world.step(None)
    return truth if truth.grasped_object == scenario.target else None
