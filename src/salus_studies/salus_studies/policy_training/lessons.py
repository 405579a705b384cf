# SPDX-License-Identifier: Apache-2.0
"""What members are taught from: demonstrations, single views of scenes, rounds of their own."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
from tqdm import tqdm

from salus_core.failures import Outcome
from salus_policies.backends.embedded.backend import EmbeddedBackend
from salus_policies.backends.embedded.config import JOINTS, EmbeddedConfig
from salus_policies.backends.embedded.network import EmbeddedNetwork
from salus_policies.policy import BackendPolicy
from salus_sim.tasks import STACK
from salus_sim.world.mujoco_world import MujocoWorld
from salus_studies.policy_training.frames import Frames
from salus_studies.policy_training.glimpses import glimpse
from salus_studies.policy_training.rollout import demonstrate, practise

DEMO_SEED, GLIMPSE_SEED, VIEW_SEED = 1_000_000, 1_500_000, 1_700_000
DAGGER_SEED = 2_000_000
SEEDS_PER_MEMBER = 100_000
EASY_SHARE = 0.25  # of the training episodes; the others are of difficulty 'training'
STACK_SHARE = 0.2  # of the training episodes; in the others the task is drawn as anywhere


def _difficulty(seed: int) -> str:
    return "easy" if np.random.default_rng([seed, 4]).uniform() < EASY_SHARE else "training"


def _tasks(seed: int) -> tuple[str, ...]:
    """Stacking is rare and the hardest: more of it in training."""
    return (STACK,) if np.random.default_rng([seed, 6]).uniform() < STACK_SHARE else ()


def collect_demos(world: MujocoWorld, work: Path, episodes: int) -> Frames:
    """The expert's successful episodes with bursts of noise, shared by all members."""
    path = work / "demos.npz"
    if path.exists():
        return Frames.load(path)
    parts = []
    for seed in tqdm(range(DEMO_SEED, DEMO_SEED + episodes), "demonstrations", unit="ep"):
        frames, result = demonstrate(
            world, EmbeddedConfig(), seed, _difficulty(seed), tasks=_tasks(seed)
        )
        if result.outcome == Outcome.SUCCEEDED:
            parts.append(frames)
    return _keep(Frames.join(parts), path)


def collect_glimpses(
    world: MujocoWorld, path: Path, first_seed: int, count: int, difficulty: str = ""
) -> Frames:
    """Single views of scenes; see `training.glimpses`.

    With a difficulty they have no actions; else they have, and are of the training's difficulties.
    """
    if path.exists():
        return Frames.load(path)
    seeds = tqdm(range(first_seed, first_seed + count), path.stem, unit="view", mininterval=5)
    views = (
        glimpse(
            world,
            EmbeddedConfig(),
            seed,
            difficulty or _difficulty(seed),
            not difficulty,
            _tasks(seed),
        )
        for seed in seeds
    )
    return _keep(Frames.join([view for view in views if view is not None]), path)


def _keep(frames: Frames, path: Path) -> Frames:
    """Write frames so that the file is either whole or not there."""
    part = path.with_name(f"part-{os.getpid()}-{path.name}")
    frames.save(part)
    part.rename(path)
    return frames


def dagger_round(
    world: MujocoWorld,
    folder: Path,
    stage: str,
    network: EmbeddedNetwork,
    member: int,
    number: int,
    episodes: int,
    glimpses: int,
) -> Frames:
    """What a member does in episodes of its own, labelled by the expert, and new glimpses.

    Args:
        world: to act in.
        folder: of the member; its rounds are kept there.
        stage: its name.
        network: the member.
        member: its number.
        number: of the stage.
        episodes: how many.
        glimpses: how many.
    """
    path = folder / f"{stage}.npz"
    if path.exists():
        return Frames.load(path)
    first = DAGGER_SEED + SEEDS_PER_MEMBER * member + 10_000 * number
    policy = BackendPolicy(EmbeddedBackend.in_training(network), joints=range(JOINTS))
    parts, outcomes = [], Counter()
    seeds = range(first, first + episodes)
    for seed in tqdm(seeds, f"member {member} round {number}", unit="ep", mininterval=5):
        frames, result = practise(
            world, policy, network.config, seed, _difficulty(seed), tasks=_tasks(seed)
        )
        if result.refused:
            continue
        outcomes[(result.failure or "none").upper()] += 1
        parts.append(frames)
    views = folder / f"glimpses_{number}.npz"
    parts.append(collect_glimpses(world, views, first + 500, glimpses))
    path.with_suffix(".json").write_text(json.dumps(outcomes) + "\n", encoding="utf-8")
    return _keep(Frames.join(parts), path)
