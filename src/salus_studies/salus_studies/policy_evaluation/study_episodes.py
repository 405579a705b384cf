"""Episodes of a study: who acts in which scenes, run in processes of their own."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from salus_core.failures import FailureType
from salus_core.signals import member_variance
from salus_policies.backends.base import LoadOptions, Observation, PolicyBackend
from salus_policies.backends.registry import backend_class
from salus_sim.experts import expert_for
from salus_sim.referee import Referee, Verdict
from salus_sim.scenario import Scenario
from salus_sim.scene import load_scene
from salus_sim.world.mujoco_world import MujocoWorld, WorldError, WorldTruth

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

    def policy(self, actor: str) -> PolicyBackend:
        """The loaded policy of an actor; the one before it is dropped."""
        if self._actor != actor:
            self._policy = None
            checkpoint = self._checkpoints[actor]
            self._policy = backend_class("embedded").load(checkpoint, LoadOptions(threads=1))
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
        world, images = self._world, []
        try:
            truth = world.reset(seed, cell.difficulty, cell.profile, wording=cell.wording)
        except WorldError:
            return Result(cell, seed), images
        scenario = world.scenario
        referee = Referee.of(world.scene, scenario)
        policy = expert = None
        if cell.actor == EXPERT:
            expert = expert_for(world.scene, scenario)
        else:
            policy = self.policy(cell.actor)
            policy.reset()
        log = _Log(cell)
        verdict: Verdict | None = None
        while True:
            if camera:
                images.append(world.render(camera))
            verdict = referee.update(truth)
            if verdict is not None:
                return log.result(seed, scenario, verdict, truth), images
            if expert is not None:
                action = expert.act(truth)
            else:
                output = policy.act(self._observe(policy, truth, scenario.instruction))
                log.note(policy, output, truth, scenario)
                action = output.action
            truth = world.step(action)

    def _observe(self, policy: PolicyBackend, truth: WorldTruth, instruction: str) -> Observation:
        return Observation(
            images={name: self._world.render(name) for name in policy.info.cameras},
            joint_positions=truth.joint_positions[:7],
            joint_velocities=truth.joint_velocities[:7],
            tool_position=truth.tool_position,
            tool_quaternion=truth.tool_quaternion,
            gripper_width=truth.gripper_width,
            instruction=instruction,
            step=truth.step,
        )


class _Log:
    """What is kept of an episode's steps."""

    def __init__(self, cell: Cell):
        self._cell = cell
        self._epistemic: list[float] = []
        self._embeddings: list[np.ndarray] = []
        self._targets: list[list[float]] = []

    def note(self, policy: PolicyBackend, output, truth: WorldTruth, scenario: Scenario) -> None:
        if policy.info.members > 1:
            means = output.member_means / np.array(policy.info.action_scale)
            self._epistemic.append(float(member_variance(means).mean()))
        if self._cell.actor == ENSEMBLE and truth.step % PROBE_PERIOD == 0:
            obstacle = scenario.obstacle
            there = [np.nan] * 3 if obstacle is None else obstacle[[0, 1, 5]]
            target = truth.object_poses[scenario.target][:3]
            self._embeddings.append(output.latent.astype(np.float32))
            self._targets.append([*target, *scenario.goal[:2], *there])

    def result(self, seed: int, scenario: Scenario, verdict: Verdict, truth: WorldTruth) -> Result:
        failed = verdict.failure != FailureType.NONE
        result = Result(
            cell=self._cell,
            seed=seed,
            task=scenario.task,
            instruction=scenario.instruction,
            outcome=verdict.failure.name.lower() if failed else "success",
            steps=verdict.step,
            onset=verdict.onset_step,
            faults=tuple(f.kind for f in truth.faults if f.onset_step <= verdict.onset_step),
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
