# SPDX-License-Identifier: Apache-2.0
"""salus train_scene_head: fit what reads the scene off a policy's latent."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import torch

from salus_core.commands.boundary import command
from salus_core.data import read_steps
from salus_core.prevention.scene_fitting import FitSettings, errors, fit
from salus_core.prevention.scene_head import SceneHeadError

FINGERS = ("panda_finger_joint1", "panda_finger_joint2")
"""Of the embedded world's arm."""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="salus train_scene_head",
        allow_abbrev=False,
        description="Fit a network that reads places (goal, obstacle, grasp) off a policy's "
        "latent, to runs of a simulator that records them. Live it reads no ground truth.",
    )
    parser.add_argument("--runs", nargs="+", required=True, metavar="RUN", help="to learn from")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--fingers",
        nargs="+",
        default=FINGERS,
        metavar="JOINT",
        help="joints whose positions add up to the distance of the finger pads",
    )
    parser.add_argument("--epochs", type=int, default=FitSettings.epochs)
    parser.add_argument("--seed", type=int, default=0, help="of everything random; default: 0")
    parser.add_argument("--threads", type=int, default=1, metavar="K", help="default: 1")
    parser.add_argument("--test", nargs="+", default=(), metavar="RUN", help="to measure on")
    return parser.parse_args(arguments)


@command("train_scene_head")
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = parse(arguments)
    if options.epochs < 1 or options.threads < 1:
        raise SceneHeadError("--epochs and --threads must be at least 1")
    torch.set_num_threads(options.threads)
    train = read_steps(options.runs, scene=True)
    settings = FitSettings(epochs=options.epochs, seed=options.seed)
    source = f"scene head of policy {train.policies[0][0]}, fitted to simulated episodes"
    head = fit(train, tuple(options.fingers), settings, source)
    about = {
        "episodes": len(train.episodes),
        "steps": len(train),
        "intervened": int(train.episodes.intervened.sum()),
        "seeds": [int(train.episodes.seed.min()), int(train.episodes.seed.max())],
    }
    if options.test:
        test = read_steps(options.test, scene=True)
        about["errors"] = errors(head, test, tuple(options.fingers))
        print(json.dumps(about["errors"], indent=1))
    head.save(options.output, about)
    print(f"{options.output}: fitted to {len(train)} steps of {len(train.episodes)} episodes")
    return 0
