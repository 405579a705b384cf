# SPDX-License-Identifier: Apache-2.0
"""salus study_policy: what an ensemble can do, measured on fresh seeds.

Every episode is kept as it ends, so an interrupted study goes on where it stopped, and the tables
can be read while it runs.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from salus_core.commands.boundary import command, require_folder
from salus_policies.backends.base import LoadOptions, Observation, PolicyBackend
from salus_policies.backends.embedded.backend import DEFAULT_FOLDER
from salus_policies.backends.embedded.ensemble import ENSEMBLE_FILE, save_ensemble
from salus_policies.backends.registry import backend_class
from salus_studies.policy_evaluation.study_episodes import (
    ENSEMBLE,
    EXPERT,
    Cell,
    Result,
    Stage,
    play_all,
)
from salus_studies.policy_evaluation.study_report import (
    comparisons,
    disagreement,
    markdown,
    probe,
    rates,
)
from salus_studies.policy_training.world_hashes import world_hashes

FIRST_SEED = 4_000_000
"""Neither collected nor trained nor validated on."""
FILMSTRIP_SEED = 4_900_000
PARTS = (EXPERT, ENSEMBLE, "members", "latency")
TABLE_PERIOD = 60.0
LATENCY_CALLS = 200
DIFFICULTIES = ("easy", "standard", "hard")


class StudyError(ValueError):
    """The study cannot be made as asked for; the message says what to change."""


class Study:
    """A folder with everything that has been measured so far.

    Args:
        folder: of the study.
        checkpoint: of the ensemble.
        command: that made it, for the report.

    Raises:
        BackendError: the ensemble cannot be loaded.
        StudyError: the folder holds a study of other weights, or of another world.
    """

    def __init__(self, folder: Path, checkpoint: str, command: str):
        self.folder, self._command, self._checkpoint = folder, command, checkpoint
        self.ensemble = backend_class("embedded").load(checkpoint, LoadOptions(threads=1))
        self.info = self.ensemble.info
        (folder / "probe").mkdir(parents=True, exist_ok=True)
        _check_belongs(folder, {"weights": self.info.weights_hash, **world_hashes()})
        self.checkpoints = {ENSEMBLE: checkpoint, **self._members()}
        self._log = folder / "episodes.jsonl"
        self.results = self._read()
        self.latency: dict[str, dict[str, float]] = {}
        if (folder / "latency.json").exists():
            self.latency = json.loads((folder / "latency.json").read_text(encoding="utf-8"))

    def _members(self) -> dict[str, str]:
        """Each member as an ensemble of its own."""
        source = weights_folder(self._checkpoint)
        names = json.loads((source / ENSEMBLE_FILE).read_text(encoding="utf-8"))["members"]
        found = {}
        for index, name in enumerate(names):
            folder = self.folder / "members" / f"member_{index}"
            folder.mkdir(parents=True, exist_ok=True)
            save_ensemble([str((source / name).resolve())], folder)
            found[f"member_{index}"] = str(folder)
        return found

    def _read(self) -> list[Result]:
        results = []
        text = self._log.read_text(encoding="utf-8") if self._log.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            self._log.write_text(whole)  # it was killed while writing the last line
        for line in whole.splitlines():
            result = Result.from_dict(json.loads(line))
            path = self._arrays(result)
            if path.exists():
                with np.load(path) as arrays:
                    result.embeddings, result.targets = arrays["embeddings"], arrays["targets"]
            results.append(result)
        return results

    def _arrays(self, result: Result) -> Path:
        cell = result.cell
        name = f"{cell.actor}-{cell.difficulty}-{cell.wording}-{result.seed}.npz"
        return self.folder / "probe" / name

    def add(self, result: Result, keep_arrays: bool) -> None:
        """Keep an episode."""
        if not keep_arrays:
            result.embeddings = result.targets = None
        if result.embeddings is not None:
            np.savez(self._arrays(result), embeddings=result.embeddings, targets=result.targets)
        self.results.append(result)
        with self._log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(result.to_dict()) + "\n")

    def measure_latency(self) -> None:
        """Time act() of the ensemble and of one member in this process, on one thread."""
        torch.set_num_threads(1)
        member = backend_class("embedded").load(self.checkpoints["member_0"], LoadOptions())
        self.latency = {
            f"{self.info.members} members": latency(self.ensemble),
            "1 member": latency(member),
        }
        (self.folder / "latency.json").write_text(
            json.dumps(self.latency, indent=1) + "\n", encoding="utf-8"
        )

    def write(self) -> dict:
        """Write study.json and study.md from what there is."""
        seen = [r for r in self.results if r.cell.actor == ENSEMBLE and r.cell.wording == "seen"]
        study = {
            "checkpoint": self._checkpoint,
            "hash": self.info.weights_hash,
            "members": self.info.members,
            "command": self._command,
            "first_seed": FIRST_SEED,
            "rates": rates(sorted(self.results, key=_order)),
            "comparisons": comparisons(self.results),
            "disagreement": disagreement(self.results),
            "probe": probe(seen, self.info.members),
            "latency": self.latency,
        }
        (self.folder / "study.json").write_text(
            json.dumps(study, indent=1) + "\n", encoding="utf-8"
        )
        (self.folder / "study.md").write_text(markdown(study), encoding="utf-8")
        return study


def _check_belongs(folder: Path, hashes: dict[str, str]) -> None:
    """Keep the hashes of weights and world, or compare them with those kept before."""
    path = folder / "weights.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else hashes
    changed = [key for key, value in hashes.items() if found.get(key) != value]
    if changed:
        raise StudyError(
            f"{folder} holds a study of other {', '.join(changed)} ({path.name}): "
            "choose another --output"
        )
    path.write_text(json.dumps(hashes) + "\n", encoding="utf-8")


def weights_folder(checkpoint: str) -> Path:
    """Folder of an ensemble's files."""
    return DEFAULT_FOLDER if checkpoint == "default" else Path(checkpoint).expanduser()


def _order(result: Result) -> tuple:
    cell = result.cell
    rank = {EXPERT: 0, ENSEMBLE: 1}.get(cell.actor, 2)
    return rank, cell.actor, DIFFICULTIES.index(cell.difficulty), cell.wording, result.seed


def latency(policy: PolicyBackend, calls: int = LATENCY_CALLS) -> dict[str, float]:
    """Time act() on made-up images [ms]."""
    random = np.random.default_rng(0)
    images = {
        name: random.integers(0, 255, (*shape, 3), np.uint8)
        for name, shape in policy.info.cameras.items()
    }
    walls, policy_seconds = [], 0.0
    policy.reset()
    for step in range(calls + 10):
        observation = Observation(
            images=images,
            joint_positions=np.zeros(7),
            joint_velocities=np.zeros(7),
            tool_position=np.array([0.5, 0.0, 0.2]),
            tool_quaternion=np.array([1.0, 0.0, 0.0, 0.0]),
            gripper_width=0.08,
            instruction="push the red cube to the goal",
            step=step,
        )
        wall, cpu = time.perf_counter(), time.process_time()
        policy.act(observation)
        if step >= 10:
            walls.append(1000 * (time.perf_counter() - wall))
            policy_seconds += time.process_time() - cpu
    return {
        "median_ms": float(np.median(walls)),
        "p95_ms": float(np.quantile(walls, 0.95)),
        "cpu_ms": 1000 * policy_seconds / calls,
    }


def plan(parts: list[str], episodes: int, members: list[str]) -> list[tuple[Cell, int]]:
    """Cells and how many episodes each gets; short ones first."""
    cells: list[tuple[Cell, int]] = []
    part = max(1, 2 * episodes // 3)
    if EXPERT in parts:
        cells += [(Cell(EXPERT, difficulty), part) for difficulty in DIFFICULTIES]
    if ENSEMBLE in parts:
        cells += [
            (Cell(ENSEMBLE, "easy"), part),
            (Cell(ENSEMBLE, "standard"), episodes),
            (Cell(ENSEMBLE, "hard"), part),
            (Cell(ENSEMBLE, "standard", "unseen"), episodes),
        ]
    if "members" in parts:
        cells += [(Cell(name, "standard"), part) for name in members]
    return cells


def run(study: Study, parts: list[str], episodes: int, workers: int) -> None:
    """Measure what is not there yet."""
    if "latency" in parts and not study.latency:
        study.measure_latency()
    done = {(result.cell, result.seed) for result in study.results}
    members = [name for name in study.checkpoints if name != ENSEMBLE]
    jobs = [
        (cell, seed)
        for cell, count in plan(parts, episodes, members)
        for seed in range(FIRST_SEED, FIRST_SEED + count)
        if (cell, seed) not in done
    ]
    written = time.monotonic()
    with tqdm(total=len(jobs), unit="ep", mininterval=2, smoothing=0.05) as bar:
        if jobs:
            for result in play_all(jobs, study.checkpoints, workers):
                cell = result.cell
                study.add(result, (cell.difficulty, cell.wording) == ("standard", "seen"))
                bar.set_postfix_str(f"{cell.actor} {cell.difficulty} {cell.wording}", False)
                bar.update()
                if time.monotonic() - written > TABLE_PERIOD:
                    study.write()
                    written = time.monotonic()


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="study_policy", description=__doc__)
    parser.add_argument("--checkpoint", default="default", help="the ensemble's folder")
    parser.add_argument("--output", type=Path, default=Path("runs/study_policy"), metavar="DIR")
    parser.add_argument(
        "--episodes",
        type=int,
        default=300,
        metavar="N",
        help="of the ensemble on 'standard'; everything else gets as many or two thirds of it",
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--workers", type=int, default=2, metavar="K", help="processes")
    parser.add_argument(
        "--filmstrips",
        type=Path,
        metavar="DIR",
        help="draw a success and each failure type, too; pictures that exist are kept",
    )
    return parser.parse_args(arguments)


@command("study_policy", "the same call goes on from here")
def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    options = parse(arguments)
    given = sys.argv[1:] if arguments is None else arguments
    call = shlex.join(["salus", "study_policy", *given])
    if options.episodes < 2 or options.workers < 1:
        raise StudyError("--episodes must be at least 2 and --workers at least 1")
    require_folder(options.output)
    if options.filmstrips:
        require_folder(options.filmstrips, "--filmstrips")
    study = Study(options.output, options.checkpoint, call)
    run(study, options.parts, options.episodes, options.workers)
    print(markdown(study.write()))
    print(study.folder / "study.md")
    if options.filmstrips:
        # Only whoever draws pays for loading matplotlib.
        from salus_studies.policy_evaluation.study_filmstrips import make_filmstrips

        stage = Stage(study.checkpoints)
        for line in make_filmstrips(stage, study.results, options.filmstrips, FILMSTRIP_SEED):
            print(line)
        stage.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
