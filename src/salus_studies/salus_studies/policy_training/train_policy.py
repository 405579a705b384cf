# SPDX-License-Identifier: Apache-2.0
"""salus train_policy: the embedded ensemble from nothing.

Demonstrations of the scripted expert, then per member: behaviour cloning, DAgger rounds in which
the member acts and the expert labels (Ross et al. 2011), a last stage, and an evaluation on
validation seeds. Every stage is kept in the working folder, so an interrupted run resumes.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from salus_core.commands.boundary import OutputError, command, require_folder
from salus_core.runtime import Lane, run_episodes
from salus_core.signals import fit_latent_statistics
from salus_policies.backends.base import LoadOptions
from salus_policies.backends.embedded.backend import EmbeddedBackend
from salus_policies.backends.embedded.config import JOINTS, EmbeddedConfig
from salus_policies.backends.embedded.ensemble import (
    STATISTICS_FILE,
    EmbeddedEnsemble,
    save_ensemble,
)
from salus_policies.backends.embedded.network import EmbeddedNetwork
from salus_policies.policy import BackendPolicy
from salus_sim.environment import EmbeddedEnvironment
from salus_sim.scene import load_scene
from salus_sim.world.mujoco_world import MujocoWorld
from salus_studies.policy_training.frames import Frames
from salus_studies.policy_training.lessons import (
    DAGGER_SEED,
    DEMO_SEED,
    GLIMPSE_SEED,
    SEEDS_PER_MEMBER,
    VIEW_SEED,
    collect_demos,
    collect_glimpses,
    dagger_round,
)
from salus_studies.policy_training.report_figure import draw_report
from salus_studies.policy_training.trainer import train_stage
from salus_studies.policy_training.world_hashes import world_hashes

VALIDATION_SEED = 3_000_000
MAX_MEMBERS = (VALIDATION_SEED - DAGGER_SEED) // SEEDS_PER_MEMBER
ONLY_ENSEMBLE = "ensemble"
LAST = "last"  # stage
REPORT = "report.json"  # in the folder of every stage that is done
VIEW_DIFFICULTY = "seen"  # of views that teach what is in them, but nothing to do
POINTS_WEIGHT, LAST_POINTS_WEIGHT = 0.3, 0.1  # of the keypoints; in the end they are found
ROLLOUT_TEMPERATURE = 0.5  # members wander a little in DAgger rounds, so that they show more states


@command("train_policy", "the same call goes on from the last finished stage")
def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    options = parse(argv)
    require_folder(options.work, "--work")
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
        path.write_text(json.dumps({**wanted, "world": world}, indent=1) + "\n", encoding="utf-8")
        return
    begun = json.loads(path.read_text(encoding="utf-8"))
    changed = [k for k in wanted if wanted[k] != begun.get(k)]
    if changed:
        names = ", ".join(f"--{k.replace('_', '-')} {begun.get(k)}" for k in changed)
        raise OutputError(f"{path.parent} was begun with {names}: use these, or another --work")
    found = begun.get("world", {})
    moved = [name for name in world if found.get(name) != world[name]]
    if moved:
        raise OutputError(
            f"{path.parent} was begun with another {' and '.join(moved)} (world in {path.name}): "
            "choose another --work"
        )


def train_member(
    world: MujocoWorld,
    work: Path,
    shared: Frames,
    member: int,
    options: argparse.Namespace,
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
    stages += [(LAST, last, 0.8 * options.rate)]
    for number, (name, updates, rate) in enumerate(stages):
        if name.startswith("round"):
            parts.append(
                dagger_round(
                    world,
                    folder,
                    name,
                    network,
                    member,
                    number,
                    options.round_episodes,
                    options.round_glimpses,
                )
            )
        if (folder / name / REPORT).exists():
            network = EmbeddedNetwork.from_pretrained(folder / name)
        else:
            frames = Frames.join(parts) if len(parts) > 1 else shared
            run_stage(world, folder, name, network, frames, updates, rate, member, number, options)


def run_stage(
    world: MujocoWorld,
    folder: Path,
    name: str,
    network: EmbeddedNetwork,
    frames: Frames,
    updates: int,
    rate: float,
    member: int,
    number: int,
    options: argparse.Namespace,
) -> None:
    """Train a member for one stage, in place, and keep it with a report in `folder`."""
    start = time.process_time()
    with tqdm(total=updates, desc=f"member {member} {name}", unit="up", mininterval=5) as bar:

        def progress(update: int, loss: float) -> None:
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
            LAST_POINTS_WEIGHT if name == LAST else POINTS_WEIGHT,
        )
    outcomes: dict[str, int] = {}
    if name == LAST:
        acting = EmbeddedBackend.in_training(network)
        _, outcomes = evaluate(world, acting, "training", options.evaluate)
    network.save_pretrained(folder / name)
    rollouts = folder / f"{name}.json"
    report = {
        "frames": len(frames),
        "updates": updates,
        **vars(result),
        "rollouts_before": json.loads(rollouts.read_text(encoding="utf-8"))
        if rollouts.exists()
        else {},
        "validation": outcomes,
        "cpu_seconds": time.process_time() - start,
    }
    (folder / name / REPORT).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    tqdm.write(f"member {member} {name}: {json.dumps(report)}")


def evaluate(
    world: MujocoWorld,
    backend: EmbeddedBackend,
    difficulty: str,
    episodes: int,
    first_seed: int = VALIDATION_SEED,
) -> tuple[float, dict[str, int]]:
    """Success rate and outcomes over fresh validation episodes without faults."""
    environment = EmbeddedEnvironment(world, difficulty, cameras=tuple(backend.info.cameras))
    policy = BackendPolicy(backend, joints=range(JOINTS))
    seeds = range(first_seed, first_seed + episodes)
    results = run_episodes([Lane(environment)], policy, seeds)
    outcomes = Counter(
        (result.failure or "none").upper() for result in results if not result.refused
    )
    return outcomes["NONE"] / max(episodes, 1), dict(outcomes)


def finish(world: MujocoWorld, work: Path, shared: Frames, options: argparse.Namespace) -> None:
    """Write the ensemble, its latent statistics and the report."""
    output = work / "ensemble"
    output.mkdir(exist_ok=True)
    names = [f"member_{i}" for i in range(options.members)]
    networks = [EmbeddedNetwork.from_pretrained(work / name / LAST) for name in names]
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
    backend = EmbeddedBackend.load(str(output.resolve()), LoadOptions(device="cpu", threads=0))
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
                stage.parent.name: json.loads(stage.read_text(encoding="utf-8"))
                for stage in sorted((work / name).glob(f"*/{REPORT}"))
            }
            for name in names
        },
        "ensemble": {
            difficulty: evaluate(world, backend, difficulty, options.evaluate)
            for difficulty in ("easy", "training", "standard")
        },
    }
    (output / "training_report.json").write_text(
        json.dumps(report, indent=1) + "\n", encoding="utf-8"
    )
    draw_report(report, output / "training_report.png")
    print(json.dumps(report["ensemble"]))


if __name__ == "__main__":
    raise SystemExit(main())
