"""ros2 run salus_vla_node train_policy: the embedded ensemble from nothing.

Demonstrations of the scripted expert, then per member: behaviour cloning, DAgger rounds in which
the member acts and the expert labels (Ross et al. 2011), a last stage, and an evaluation on
validation seeds. Every stage is kept in the working folder, so an interrupted run resumes.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import time
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from salus_core.failures import FailureType
from salus_core.signals import fit_latent_statistics
from salus_sim.scene import load_scene
from salus_sim.tasks import STACK
from salus_sim.world.mujoco_world import MujocoWorld
from salus_vla_node.backends.base import sampling_key
from salus_vla_node.backends.embedded.config import EmbeddedConfig
from salus_vla_node.backends.embedded.ensemble import (
    STATISTICS_FILE,
    EmbeddedEnsemble,
    save_ensemble,
)
from salus_vla_node.backends.embedded.inputs import executable_action
from salus_vla_node.backends.embedded.network import EmbeddedNetwork
from salus_vla_node.training.frames import Frames
from salus_vla_node.training.glimpses import glimpse
from salus_vla_node.training.report_figure import draw_report
from salus_vla_node.training.rollout import run_episode
from salus_vla_node.training.trainer import train_stage
from salus_vla_node.training.world_hashes import world_hashes

DEMO_SEED, GLIMPSE_SEED, VIEW_SEED = 1_000_000, 1_500_000, 1_700_000
DAGGER_SEED, VALIDATION_SEED = 2_000_000, 3_000_000
SEEDS_PER_MEMBER = 100_000
MAX_MEMBERS = (VALIDATION_SEED - DAGGER_SEED) // SEEDS_PER_MEMBER
ONLY_ENSEMBLE = "ensemble"
VIEW_DIFFICULTY = "seen"  # of views that teach what is in them, but nothing to do
POINTS_WEIGHT, LAST_POINTS_WEIGHT = 0.3, 0.1  # of the keypoints; in the end they are found
EASY_SHARE = 0.25  # of the training episodes; the others are of difficulty 'training'
STACK_SHARE = 0.2  # of the training episodes; in the others the task is drawn as anywhere
ROLLOUT_TEMPERATURE = 0.5  # members wander a little in DAgger rounds, so that they show more states


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    options = parse(argv)
    torch.set_num_threads(options.threads)
    work = Path(options.work)
    work.mkdir(parents=True, exist_ok=True)
    _same_options(work / "options.json", options)
    world = MujocoWorld(load_scene())
    shared = Frames.join(
        [
            collect_demos(world, work, options.demos),
            collect_glimpses(world, work / "glimpses.npz", GLIMPSE_SEED, options.glimpses),
            collect_glimpses(world, work / "views.npz", VIEW_SEED, options.views, VIEW_DIFFICULTY),
        ]
    )
    if options.only != ONLY_ENSEMBLE:
        members = range(options.members) if options.only is None else [int(options.only)]
        for member in members:
            train_member(world, work, shared, member, options)
    if options.only in (None, ONLY_ENSEMBLE):
        finish(world, work, shared, options)
    world.close()
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line; exits with a message if an option is out of range."""
    parser = argparse.ArgumentParser(prog="train_policy", description=__doc__)
    parser.add_argument("--work", default="runs/train_policy", help="folder of the stages")
    parser.add_argument("--members", type=int, default=5)
    parser.add_argument("--only", help="one member's number, or 'ensemble': to use several cores")
    parser.add_argument("--demos", type=int, default=400, help="expert episodes, shared")
    parser.add_argument(
        "--glimpses", type=int, default=24_000, help="single views of scenes, shared"
    )
    parser.add_argument(
        "--views", type=int, default=14_000, help="views of 'seen' scenes without actions, shared"
    )
    parser.add_argument(
        "--round-glimpses", type=int, default=500, help="further ones of each round"
    )
    parser.add_argument("--rounds", type=int, default=4, help="DAgger rounds per member")
    parser.add_argument("--round-episodes", type=int, default=30)
    parser.add_argument(
        "--updates",
        type=int,
        nargs=3,
        default=(2600, 800, 2400),
        help="of cloning, of each round, of the last stage",
    )
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--evaluate", type=int, default=30, help="validation episodes per member")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(argv)
    if not 1 <= options.members <= MAX_MEMBERS:
        parser.error(
            f"argument --members: must be 1 to {MAX_MEMBERS}, as there are seeds for so many, "
            f"got {options.members}"
        )
    if options.only not in (None, ONLY_ENSEMBLE, *map(str, range(options.members))):
        parser.error(
            f"argument --only: must be a member's number from 0 to {options.members - 1} "
            f"(--members is {options.members}) or '{ONLY_ENSEMBLE}', got '{options.only}'"
        )
    return options


def _same_options(path: Path, options: argparse.Namespace) -> None:
    """Stages of other options or another world are not taken up: a mixture is nobody's recipe."""
    elsewhere = ("work", "members", "only", "threads")
    wanted = {k: v for k, v in json.loads(json.dumps(vars(options))).items() if k not in elsewhere}
    world = world_hashes()
    if not path.exists():
        path.write_text(json.dumps({**wanted, "world": world}, indent=1) + "\n")
        return
    begun = json.loads(path.read_text())
    changed = [k for k in wanted if wanted[k] != begun.get(k)]
    if changed:
        names = ", ".join(f"--{k.replace('_', '-')} {begun.get(k)}" for k in changed)
        raise SystemExit(f"{path.parent} was begun with {names}: use these, or another --work")
    found = begun.get("world", {})
    moved = [name for name in world if found.get(name) != world[name]]
    if moved:
        raise SystemExit(
            f"{path.parent} was begun with another {' and '.join(moved)} (world in {path.name}): "
            "choose another --work"
        )


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
        frames, verdict = run_episode(
            world, EmbeddedConfig(), seed, _difficulty(seed), None, tasks=_tasks(seed)
        )
        if verdict.failure == FailureType.NONE:
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


def train_member(
    world: MujocoWorld, work: Path, shared: Frames, member: int, options: argparse.Namespace
) -> None:
    """All stages of one member; finished stages are read back instead of run again.

    A stage's report tells how the policy before it did in the round's episodes.
    """
    folder = work / f"member_{member}"
    folder.mkdir(exist_ok=True)
    torch.manual_seed(7919 * (member + 1))
    config = EmbeddedConfig(
        proprioception_mean=tuple(shared.proprioception.mean(0).tolist()),
        proprioception_std=tuple((shared.proprioception.std(0) + 1e-3).tolist()),
        action_temperature=ROLLOUT_TEMPERATURE,
    )
    network = EmbeddedNetwork(config)
    cloning, per_round, last = options.updates
    parts = [shared]
    stages = [("clone", cloning, options.rate)]
    stages += [(f"round_{i + 1}", per_round, 0.6 * options.rate) for i in range(options.rounds)]
    stages += [("last", last, 0.8 * options.rate)]
    for number, (name, updates, rate) in enumerate(stages):
        done = folder / name
        data = folder / f"{name}.npz"
        rollouts: dict[str, int] = {}
        if name.startswith("round"):
            parts.append(_dagger_round(world, data, network, member, number, options))
            rollouts = json.loads(data.with_suffix(".json").read_text())
        if (done / "report.json").exists():
            network = EmbeddedNetwork.from_pretrained(done)
            continue
        start = time.process_time()
        frames = Frames.join(parts) if len(parts) > 1 else shared
        with tqdm(total=updates, desc=f"member {member} {name}", unit="up", mininterval=5) as bar:

            def progress(update: int, loss: float, bar=bar) -> None:
                bar.update()
                if update % 50 == 0:
                    bar.set_postfix(loss=f"{loss:.3f}")

            result = train_stage(
                network,
                frames,
                updates,
                options.batch,
                rate,
                1000 * member + number,
                progress,
                LAST_POINTS_WEIGHT if name == "last" else POINTS_WEIGHT,
            )
        outcomes: dict[str, int] = {}
        if name == "last":
            acting = EmbeddedEnsemble(network, torch.device("cpu"), torch.float32)
            _, outcomes = evaluate(world, acting, "training", options.evaluate)
        network.save_pretrained(done)
        report = {
            "frames": len(frames),
            "updates": updates,
            **vars(result),
            "rollouts_before": rollouts,
            "validation": outcomes,
            "cpu_seconds": time.process_time() - start,
        }
        (done / "report.json").write_text(json.dumps(report, indent=1) + "\n")
        tqdm.write(f"member {member} {name}: {json.dumps(report)}")


def _dagger_round(
    world: MujocoWorld,
    path: Path,
    network: EmbeddedNetwork,
    member: int,
    number: int,
    options: argparse.Namespace,
) -> Frames:
    if path.exists():
        return Frames.load(path)
    first = DAGGER_SEED + SEEDS_PER_MEMBER * member + 10_000 * number
    act = actor(EmbeddedEnsemble(network, torch.device("cpu"), torch.float32))
    parts, outcomes = [], {}
    seeds = range(first, first + options.round_episodes)
    for seed in tqdm(seeds, f"member {member} round {number}", unit="ep", mininterval=5):
        frames, verdict = run_episode(
            world, network.config, seed, _difficulty(seed), act, tasks=_tasks(seed)
        )
        outcomes[verdict.failure.name] = outcomes.get(verdict.failure.name, 0) + 1
        parts.append(frames)
    views = path.with_name(path.name.replace("round", "glimpses"))
    parts.append(collect_glimpses(world, views, first + 500, options.round_glimpses))
    path.with_suffix(".json").write_text(json.dumps(outcomes) + "\n")
    return _keep(Frames.join(parts), path)


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


def evaluate(
    world: MujocoWorld,
    ensemble: EmbeddedEnsemble,
    difficulty: str,
    episodes: int,
    first_seed: int = VALIDATION_SEED,
) -> tuple[float, dict[str, int]]:
    """Success rate and outcomes over fresh validation episodes without faults."""
    outcomes: dict[str, int] = {}
    act = actor(ensemble)
    for seed in range(first_seed, first_seed + episodes):
        _, verdict = run_episode(world, ensemble.config, seed, difficulty, act, record=False)
        outcomes[verdict.failure.name] = outcomes.get(verdict.failure.name, 0) + 1
    return outcomes.get(FailureType.NONE.name, 0) / max(episodes, 1), outcomes


def finish(world: MujocoWorld, work: Path, shared: Frames, options: argparse.Namespace) -> None:
    """Write the ensemble, its latent statistics and the report."""
    output = work / "ensemble"
    output.mkdir(exist_ok=True)
    names = [f"member_{i}" for i in range(options.members)]
    networks = [EmbeddedNetwork.from_pretrained(work / name / "last") for name in names]
    for name, network in zip(names, networks, strict=True):
        network.config = dataclasses.replace(network.config, action_temperature=0.0)
        network.save_pretrained(output / name)
    save_ensemble(names, output)
    ensemble = EmbeddedEnsemble.from_pretrained(output)
    rounds = [Frames.load(p) for name in names for p in sorted((work / name).glob("round_*.npz"))]
    frames = Frames.join([shared, *rounds])
    rows = np.random.default_rng(0).choice(len(frames), min(len(frames), 20_000), replace=False)
    latents = []
    for start in tqdm(range(0, len(rows), 64), "latent statistics"):
        part = np.sort(rows[start : start + 64])
        present = np.ones((len(part), len(ensemble.config.cameras)), np.float32)
        result = ensemble.forward(
            frames.images[part], present, frames.proprioception[part], frames.tokens[part]
        )
        latents.append(result.latents.reshape(len(part), -1))
    fit_latent_statistics(np.concatenate(latents)).save(output / STATISTICS_FILE)
    report = {
        "seeds": {
            "demos": DEMO_SEED,
            "glimpses": GLIMPSE_SEED,
            "views": VIEW_SEED,
            "dagger": DAGGER_SEED,
            "validation": VALIDATION_SEED,
        },
        "members": {
            name: {
                stage.parent.name: json.loads(stage.read_text())
                for stage in sorted((work / name).glob("*/report.json"))
            }
            for name in names
        },
        "ensemble": {
            difficulty: evaluate(world, ensemble, difficulty, options.evaluate)
            for difficulty in ("easy", "training", "standard")
        },
    }
    (output / "training_report.json").write_text(json.dumps(report, indent=1) + "\n")
    draw_report(report, output / "training_report.png")
    print(json.dumps(report["ensemble"]))


if __name__ == "__main__":
    raise SystemExit(main())
