# SPDX-License-Identifier: Apache-2.0
"""Episodes of a study: who acts in which scenes, run in processes of their own."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from salus_core.episode_store import EpisodeStart
from salus_core.runtime import EpisodeResult, StepRecord, run_episode
from salus_core.signals import member_variance
from salus_policies.backends.base import LoadOptions, PolicyInfo
from salus_policies.backends.embedded.config import JOINTS
from salus_policies.backends.registry import backend_class
from salus_policies.policy import BackendPolicy
from salus_sim.environment import EmbeddedEnvironment
from salus_sim.expert_policy import ExpertPolicy
from salus_sim.scene import load_scene
from salus_sim.world.mujoco_world import MujocoWorld

EXPERT, ENSEMBLE = "expert", "ensemble"
REFUSED = "refused"
"""Outcome of a seed that the world cannot start."""
PROBE_PERIOD = 5
"""Every so many steps an embedding is kept for the probe."""
EARLY_STEPS = 60
"""Steps in which hardly an episode has failed yet: disagreement there is the scene's."""
PROBE_TARGETS = (
    *("object x", "object y", "object z", "goal x", "goal y"),
    *("obstacle x", "obstacle y", "obstacle height"),
)


@dataclass(frozen=True)
class Cell:
    """Episodes that count together.

    Attributes:
        actor: EXPERT, ENSEMBLE or a member's name.
        difficulty: of the scenes.
        wording: 'seen' or 'unseen'.
        profile: of injected faults.
    """

    actor: str
    difficulty: str
    wording: str = "seen"
    profile: str = "none"


@dataclass
class Result:
    """One episode.

    Attributes:
        cell: that it belongs to.
        seed: its seed.
        task: that it drew.
        instruction: of the same.
        outcome: 'success', a failure's name, or REFUSED.
        steps: until the referee was certain.
        onset: step of the failure's onset; of a success its last step.
        faults: kinds of the faults that had begun by then.
        epistemic: mean over the steps of the members' disagreement, as the signal of that name;
            NaN for one member and for the expert.
        epistemic_early: the same over the first EARLY_STEPS.
        embeddings: (n, D) float32, every PROBE_PERIOD steps.
        targets: (n, T) what PROBE_TARGETS names [m]; NaN: there is none.
    """

    cell: Cell
    seed: int
    task: str = ""
    instruction: str = ""
    outcome: str = REFUSED
    steps: int = 0
    onset: int = 0
    faults: tuple[str, ...] = ()
    epistemic: float = float("nan")
    epistemic_early: float = float("nan")
    embeddings: np.ndarray | None = None
    targets: np.ndarray | None = None

    def to_dict(self) -> dict:
        """Plain values, without the arrays."""
        values = {key: value for key, value in vars(self).items() if key not in _ARRAYS}
        for name in ("epistemic", "epistemic_early"):
            values[name] = None if np.isnan(values[name]) else round(values[name], 9)
        return {**values, "cell": asdict(self.cell), "faults": list(self.faults)}

    @classmethod
    def from_dict(cls, values: dict) -> Result:
        """The inverse of `to_dict`."""
        numbers = {
            name: float("nan") if values[name] is None else values[name]
            for name in ("epistemic", "epistemic_early")
        }
        cell, faults = Cell(**values["cell"]), tuple(values["faults"])
        return cls(**{**values, **numbers, "cell": cell, "faults": faults})


_ARRAYS = ("embeddings", "targets")


class Stage:
    """A world with an actor.

    Args:
        checkpoints: folder of each actor but the expert, by name.
    """

    def __init__(self, checkpoints: dict[str, str]):
        self._checkpoints = checkpoints
        self._world = MujocoWorld(load_scene())
        self._actor, self._policy = "", None

    def close(self) -> None:
        """Free the renderer."""
        self._world.close()

    def policy(self, actor: str) -> BackendPolicy:
        """The loaded policy of an actor; the one before it is dropped."""
        if self._actor != actor:
            self._policy = None
            checkpoint = self._checkpoints[actor]
            backend = backend_class("embedded").load(checkpoint, LoadOptions(threads=1))
            self._policy = BackendPolicy(backend, joints=range(JOINTS))
            self._actor = actor
        return self._policy

    def play(
        self, cell: Cell, seed: int, camera: str | None = None
    ) -> tuple[Result, list[np.ndarray]]:
        """Run an episode.

        Args:
            cell: who acts where.
            seed: of the episode.
            camera: keep its images.

        Returns:
            The result, and the images of steps 0 to the last one.
        """
        policy = None if cell.actor == EXPERT else self.policy(cell.actor)
        cameras = [] if policy is None else [*policy.info.cameras]
        if camera:
            cameras.append(camera)
        environment = EmbeddedEnvironment(
            self._world,
            cell.difficulty,
            cell.profile,
            wording=cell.wording,
            cameras=tuple(dict.fromkeys(cameras)),
        )
        log = _Log(cell, environment, None if policy is None else policy.info, camera)
        actor = ExpertPolicy([environment]) if policy is None else policy
        return log.result(run_episode(environment, actor, seed, sinks=[log])), log.images


class _Log:
    """What is kept of an episode's steps; see `salus_core.runtime.Sink`."""

    def __init__(
        self,
        cell: Cell,
        environment: EmbeddedEnvironment,
        policy: PolicyInfo | None,
        camera: str | None,
    ):
        self._cell, self._environment = cell, environment
        self._policy, self._camera = policy, camera
        self._epistemic: list[float] = []
        self._embeddings: list[np.ndarray] = []
        self._targets: list[list[float]] = []
        self.images: list[np.ndarray] = []

    def begin(self, start: EpisodeStart) -> None:
        """See Sink."""

    def step(self, record: StepRecord) -> None:
        """See Sink."""
        if self._camera:
            self.images.append(record.observation.images[self._camera])
        if self._policy is not None and self._policy.members > 1:
            means = record.output.member_means / np.array(self._policy.action_scale)
            self._epistemic.append(float(member_variance(means).mean()))
        if self._cell.actor == ENSEMBLE and record.step % PROBE_PERIOD == 0:
            scenario = self._environment.scenario
            obstacle = scenario.obstacle
            there = [np.nan] * 3 if obstacle is None else obstacle[[0, 1, 5]]
            target = record.truth.object_poses[scenario.target][:3]
            self._embeddings.append(record.output.latent.astype(np.float32))
            self._targets.append([*target, *scenario.goal[:2], *there])

    def end(self, result: EpisodeResult) -> None:
        """See Sink."""
        if self._camera:
            # The environment draws nothing at the end, since nobody acts on it.
            self.images.append(self._environment.world.render(self._camera))

    def discard(self, reason: str) -> None:
        """See Sink."""

    def result(self, episode: EpisodeResult) -> Result:
        """The episode's figures."""
        if episode.refused:
            return Result(self._cell, episode.seed)
        onset = episode.onset_step
        result = Result(
            cell=self._cell,
            seed=episode.seed,
            task=episode.info["task"],
            instruction=episode.info["instruction"],
            outcome=episode.name,
            steps=episode.steps,
            onset=onset,
            faults=tuple(fault.kind for fault in episode.faults if fault.onset_step <= onset),
        )
        if self._epistemic:
            result.epistemic = float(np.mean(self._epistemic))
            result.epistemic_early = float(np.mean(self._epistemic[:EARLY_STEPS]))
        if self._embeddings:
            result.embeddings = np.stack(self._embeddings)
            result.targets = np.array(self._targets, np.float32)
        return result


_stage: Stage | None = None  # of this process


def _start(checkpoints: dict[str, str]) -> None:
    global _stage
    # Ctrl-C is the parent's, which ends the pool.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _stage = Stage(checkpoints)


def _play(job: tuple[Cell, int]) -> Result:
    return _stage.play(*job)[0]


def play_all(
    jobs: Iterable[tuple[Cell, int]], checkpoints: dict[str, Path], workers: int
) -> Iterator[Result]:
    """Run episodes in processes; results come as they are ready.

    Args:
        jobs: cell and seed of each episode; jobs of one actor should follow each other.
        checkpoints: folder of each actor but the expert.
        workers: processes, of one thread each.
    """
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    folders = {name: str(folder) for name, folder in checkpoints.items()}
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, _start, (folders,)) as pool:
        yield from pool.imap_unordered(_play, jobs)
