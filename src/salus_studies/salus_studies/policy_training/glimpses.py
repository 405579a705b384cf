# SPDX-License-Identifier: Apache-2.0
"""Single views of many scenes from anywhere in the task, labelled by the expert.

A few hundred episodes show a few hundred scenes, which a network learns by heart: it then finds the
target on the scenes of its training and nowhere else. A glimpse costs two images and a scene of
its own.
"""

from __future__ import annotations

import numpy as np

from salus_policies.backends.embedded.config import EmbeddedConfig
from salus_policies.backends.embedded.inputs import tokenize
from salus_sim.environment import observe
from salus_sim.experts import expert_for
from salus_sim.experts.geometry import quarter_turn
from salus_sim.scenario import Scenario
from salus_sim.slip import PAD_HALF_WIDTH, PAD_LOW
from salus_sim.tasks import PUSH
from salus_sim.world.mujoco_world import MujocoWorld, WorldTruth
from salus_studies.policy_training.frames import Frames
from salus_studies.policy_training.rollout import policy_inputs
from salus_studies.policy_training.scene_values import hand_offset, scene_points, scene_values

_HELD, _NEAR = 0.35, 0.6  # share with the target in hand; of the others, share near the target
_AROUND = 0.5  # of those near it, share with the fingers around it or close to that
_LANDING, _OVER_GOAL = 0.4, 0.25  # of those in hand, share just above their place, and higher
_LANDING_SPREAD, _LANDING_HEIGHT = 0.013, 0.014  # [m]
_LOW, _HIGH = (0.30, -0.34, 0.014), (0.68, 0.34, 0.40)  # of the tool point [m]
_SETTLING = 4  # steps until the fingers hold
_LOOKS = 6  # of the expert at the same state
_TURN = {PUSH: 1.2}  # largest yaw of the hand [rad]
_SMALL_TURN = 0.5  # of other tasks
_HOLD_LEAST = 0.005  # so much of the target is between the fingers [m]
_FINGER = 0.02  # thickness of a finger, with some room [m]
_SPREAD = 0.012  # standard deviation of the fingers' place around the target [m]


def glimpse(
    world: MujocoWorld,
    config: EmbeddedConfig,
    seed: int,
    difficulty: str,
    acts: bool = True,
    tasks: tuple[str, ...] = (),
) -> Frames | None:
    """One step of a scene with the arm somewhere in its task.

    Args:
        world: the world to look at.
        config: the policy's configuration.
        seed: of the scene and the arm's pose.
        difficulty: of the scene.
        acts: add what the expert does; else the chunk is NaN, and the view teaches only what is
            in it.
        tasks: from which the seed draws; empty: all.

    Returns:
        One step, or None if the arm cannot be there.
    """
    rng = np.random.default_rng([seed, 5])
    world.reset(seed, difficulty, "none", tasks=tasks)
    truth = _somewhere(world, rng)
    if truth is None:
        return None
    scenario, scale = world.scenario, np.array(config.action_scale)
    expert = expert_for(world.scene, scenario, fast_transport=False)
    for _ in range(_LOOKS):  # its phase follows from the state within so many looks
        action = expert.act(truth)
    images, vector = policy_inputs(observe(world, truth, config.cameras), None, config)
    values = scene_values(truth, scenario, expert.progress)
    points = scene_points(world, truth, config)
    chunk = [np.full(7, np.nan)] * config.chunk_length
    for i in range(config.chunk_length if acts else 0):
        chunk[i] = action / scale
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
    start = scenario.objects[scenario.target]
    target, half = start.position, start.half_size
    in_hand = scenario.task != PUSH and rng.uniform() < _HELD
    place = rng.uniform(_LOW, _HIGH)
    largest = _TURN.get(scenario.task, _SMALL_TURN)
    turn, opening, held_at = rng.uniform(-largest, largest), 1.0, None
    if in_hand:
        opening, held_at = 0.0, _held_at(rng, half)
        lowest = scenario.goal[2] + half - held_at[1]
        above = rng.uniform()
        if above < _LANDING:  # a few steps of an episode, but they decide when it is let go
            place[:2] = scenario.goal[:2] + rng.normal(0.0, _LANDING_SPREAD, 2)
            place[2] = lowest + rng.uniform(0.0, _LANDING_HEIGHT)
        elif above < _LANDING + _OVER_GOAL:
            place[:2] = scenario.goal[:2] + rng.normal(0.0, 0.04, 2)
            place[2] = scenario.goal[2] + rng.uniform(0.03, 0.20)
        place[2] = max(place[2], lowest + 0.002)
    elif rng.uniform() < _NEAR:
        if rng.uniform() < _AROUND:
            if scenario.task != PUSH:
                turn = float(np.clip(quarter_turn(start.yaw) + rng.normal(0.0, 0.15), -0.8, 0.8))
                least = (half + 0.005) / world.scene.arm["finger_travel"]
                opening = rng.uniform(min(least, 1.0), 1.0)
            highest = 0.07 if rng.uniform() < 0.5 else 0.026  # where the fingers close
            place = np.array([*rng.normal(target[:2], _SPREAD), rng.uniform(_LOW[2], highest)])
        else:
            place[:2] = target[:2] + rng.normal(0.0, 0.04, 2)
            place[2] = rng.uniform(0.02, 0.20)
    truth = world.move_to(np.clip(place, _LOW, _HIGH), turn, opening, held_at)
    if truth is None or not in_hand:
        return None if truth is None or _pierced(truth, scenario) else truth
    for _ in range(_SETTLING):
        truth = world.step(None)
    return truth if truth.grasped_object == scenario.target else None


def _pierced(truth: WorldTruth, scenario: Scenario) -> bool:
    """Whether a finger was put into the target."""
    half = scenario.objects[scenario.target].half_size
    across, along, up = hand_offset(truth, truth.object_poses[scenario.target][:3])
    finger = truth.gripper_width / 2
    aside = abs(along) + half < finger or abs(along) - half > finger + _FINGER
    return not aside and abs(across) < half + PAD_HALF_WIDTH and up + half > -PAD_LOW


def _held_at(rng: np.random.Generator, half: float) -> tuple[float, float]:
    """Where in the hand [m]: half as in a good grasp, the others anywhere that fingers hold."""
    if rng.uniform() < 0.5:
        return rng.normal(0.0, 0.004), min(half - 0.014, 0.006) + rng.normal(0.0, 0.003)
    aside = half + PAD_HALF_WIDTH - _HOLD_LEAST
    return rng.uniform(-aside, aside), rng.uniform(-half - PAD_LOW + 0.006, half + 0.006)
