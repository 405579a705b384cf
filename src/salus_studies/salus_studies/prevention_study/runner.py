# SPDX-License-Identifier: Apache-2.0
"""Runs a study's episodes in processes of their own; what is done is not done again."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from salus_studies.prevention_study.arms import PLACEBO, Arm, deal
from salus_studies.prevention_study.episode_log import EpisodeLog
from salus_studies.prevention_study.plan import Plan
from salus_studies.prevention_study.rig import REFUSED, Rig

BASE = "base"

Dealt = Mapping[str, Mapping[int, Mapping[str, int]]]


@dataclass(frozen=True)
class Job:
    """The arms of one seed that are not done yet."""

    seed: int
    arms: tuple[Arm, ...]


class Runner:
    """A study's folder.

    Args:
        plan: kept in the folder.
        folder: of the study.
        workers: processes.
    """

    def __init__(self, plan: Plan, folder: Path, workers: int):
        self.plan, self.folder, self._workers = plan, folder, workers
        (folder / BASE).mkdir(parents=True, exist_ok=True)
        self.rows: dict[str, dict[int, dict[str, Any]]] = {
            arm.name: self._read(arm.name) for arm in plan.arms
        }

    def _path(self, arm: str) -> Path:
        return self.folder / f"{arm}.jsonl"

    def _read(self, arm: str) -> dict[int, dict[str, Any]]:
        path = self._path(arm)
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            path.write_text(whole, encoding="utf-8")  # it was killed while writing the last line
        return {row["seed"]: row for row in map(json.loads, whole.splitlines())}

    def run(self) -> None:
        """Run everything that is not done."""
        first = tuple(arm for arm in self.plan.arms if arm.trigger != PLACEBO)
        placebos = tuple(arm for arm in self.plan.arms if arm.trigger == PLACEBO)
        self._stage(first, {}, "arms")
        if placebos:
            self._stage(placebos, self._deal(placebos), "placebos")

    def _stage(self, arms: Sequence[Arm], dealt: Dealt, what: str) -> None:
        jobs = [
            Job(seed, missing)
            for seed in self.plan.all_seeds
            if (missing := tuple(a for a in arms if seed not in self.rows[a.name]))
        ]
        done = self.plan.seeds - len(jobs)
        with tqdm(total=self.plan.seeds, initial=done, desc=what, unit="seed") as bar:
            for rows in self._map(jobs, dealt):
                for name, row in rows.items():
                    self.rows[name][row["seed"]] = row
                    with self._path(name).open("a", encoding="utf-8") as file:
                        file.write(json.dumps(row) + "\n")
                bar.update()

    def _map(self, jobs: Sequence[Job], dealt: Dealt) -> Iterator[dict[str, dict[str, Any]]]:
        if not jobs:
            return
        context = multiprocessing.get_context("spawn")
        workers = min(self._workers, len(jobs))
        with context.Pool(workers, _start, (self.plan, self.folder, dealt)) as pool:
            yield from pool.imap_unordered(_work, jobs)

    def _deal(self, placebos: Sequence[Arm]) -> dict[str, dict[int, dict[str, int]]]:
        """The triggers of each placebo, kept in the folder."""
        found = {}
        rig = None
        for arm in placebos:
            path = self.folder / f"{arm.name}.triggers.json"
            if not path.exists():
                rig = rig or Rig(self.plan.rig)
                rows = self.rows[arm.of]
                acted = {seed: row["triggered"] for seed, row in rows.items() if row["first"] >= 0}
                bases = [self._base(seed) for seed in sorted(rows)]
                dealt = deal(
                    acted,
                    bases,
                    self.plan.table(arm),
                    rig.spec,
                    rig.taxonomy,
                    rig.control_period,
                    arm.draw,
                )
                path.write_text(json.dumps(dealt) + "\n", encoding="utf-8")
            content = json.loads(path.read_text(encoding="utf-8"))
            found[arm.name] = {int(seed): steps for seed, steps in content.items()}
        if rig is not None:
            rig.close()
        return found

    def _base(self, seed: int) -> EpisodeLog:
        return EpisodeLog.load(self.folder / BASE / f"{seed}.npz")


_RIG: dict[str, Any] = {}


def _start(plan: Plan, folder: Path, dealt: Dealt) -> None:
    """Make a process's environment."""
    torch.set_num_threads(1)
    _RIG.update(rig=Rig(plan.rig), plan=plan, folder=folder, dealt=dealt)


def _work(job: Job) -> dict[str, dict[str, Any]]:
    rig, plan, dealt = _RIG["rig"], _RIG["plan"], _RIG["dealt"]
    path = _RIG["folder"] / BASE / f"{job.seed}.npz"
    if not path.exists():
        rig.base(job.seed).save(path)
    base = EpisodeLog.load(path)
    if base.outcome == REFUSED:
        return {arm.name: {"seed": job.seed, "base": REFUSED} for arm in job.arms}
    found = {}
    for arm in job.arms:
        supervisor = arm.supervisor(
            plan.table(arm),
            rig.spec,
            rig.taxonomy,
            rig.control_period,
            base,
            dealt.get(arm.name, {}),
        )
        row = asdict(rig.branch(base, supervisor))
        found[arm.name] = {
            "seed": job.seed,
            "base": base.outcome,
            "base_steps": base.steps,
            "about": base.about,
            **row,
        }
    return found
