# SPDX-License-Identifier: Apache-2.0
"""The embedded world as an environment of the episode loop: scenario, physics, outcome."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import numpy as np

from salus_core.episode_store.episodes import EpisodeStart, Fault
from salus_core.failures import FailureType, Outcome
from salus_core.runtime import EpisodeResult, GroundTruth, Observation, SeedRefusedError
from salus_sim.referee import Referee, Verdict
from salus_sim.scenario import OBSTACLE, Scenario
from salus_sim.scene import Scene
from salus_sim.world.mujoco_world import MujocoWorld, WorldError, WorldTruth


def single(value: float) -> float:
    """A number rounded to float32, as it is in the messages of the graph.

    WorldState, EpisodeSetup and Fault carry the gripper's width and command, the contact force,
    the goal's radius, the control period and a fault's magnitude as float32. Whoever judges or
    records ground truth here sees the same numbers, so that an episode is the same to the last
    bit with and without a graph. Poses are double precision in both.
    """
    return float(np.float32(value))


def published_truth(truth: WorldTruth, scenario: Scenario) -> GroundTruth:
    """Ground truth as whoever judges and records it sees it: rounded, and with the obstacle."""
    poses = dict(truth.object_poses)
    if scenario.obstacle is not None:
        x, y, yaw, _, _, height = scenario.obstacle
        turn = (0.0, 0.0, np.sin(yaw / 2), np.cos(yaw / 2))
        poses[OBSTACLE] = np.array([x, y, height / 2, *turn])
    return GroundTruth(
        step=truth.step,
        tool_position=truth.tool_position,
        object_poses=poses,
        gripper_width=single(truth.gripper_width),
        gripper_command=single(truth.gripper_command),
        grasped_object=truth.grasped_object,
        contact_force=single(truth.contact_force),
        contact_body=truth.contact_body,
    )


def observe(
    world: MujocoWorld, truth: WorldTruth, cameras: Sequence[str], stamp: int = 0
) -> Observation:
    """What is seen of a world's present step.

    Args:
        world: after `truth` was read from it.
        truth: of the step.
        cameras: to draw.
        stamp: of the step [ns].
    """
    return Observation(
        images={name: world.render(name) for name in cameras},
        joint_positions=truth.joint_positions,
        joint_velocities=truth.joint_velocities,
        tool_position=truth.tool_position,
        tool_quaternion=truth.tool_quaternion,
        gripper_width=truth.gripper_width,
        instruction=world.scenario.instruction,
        step=truth.step,
        stamp=stamp,
    )


RUN_ON = 16
"""Control periods from the end of an episode to the beginning of the next: a world in a graph runs
on until it hears of the end, and stamps must not depend on how long that takes."""


class EmbeddedEnvironment:
    """MuJoCo world, scenario and outcome detector; see `salus_core.runtime.Environment`.

    Args:
        world: to run in; closed by whoever made it.
        difficulty: of the scenes.
        fault_profile: faults to inject.
        tasks: from which a seed draws; empty: all.
        wording: 'seen' or 'unseen'; see `salus_sim.tasks`.
        cameras: whose images an observation has.

    Attributes:
        joint_names: of an observation's joints: the arm, then the fingers.
        object_names: every object that ground truth may name.
        control_period: seconds per step.

    Raises:
        WorldError: there is no such camera.
    """

    def __init__(
        self,
        world: MujocoWorld,
        difficulty: str,
        fault_profile: str = "none",
        tasks: Sequence[str] = (),
        wording: str = "seen",
        cameras: Sequence[str] = (),
    ):
        unknown = sorted(set(cameras) - set(world.cameras))
        if unknown:
            known = ", ".join(world.cameras)
            raise WorldError(f"the world has no camera {unknown[0]!r}: use {known}")
        self.world = world
        self.cameras = tuple(cameras)
        self.joint_names, self.object_names = joint_names(world.scene), object_names(world.scene)
        self.control_period = single(world.scene.control_period)
        self._settings = (difficulty, fault_profile)
        self._tasks, self._wording = tuple(tasks), wording
        self._episode = self._ticks = 0
        self._verdict: Verdict | None = None
        self._over = False

    @property
    def scenario(self) -> Scenario:
        """Of the present episode."""
        return self.world.scenario

    def reset(self, seed: int) -> Observation:
        """Begin the episode of a seed.

        Raises:
            SeedRefusedError: the arm touches something at the start.
            SceneError: the settings do not fit the scene.
        """
        difficulty, profile = self._settings
        try:
            self.exact_truth = self.world.reset(
                seed, difficulty, profile, tasks=self._tasks, wording=self._wording
            )
        except WorldError as error:
            raise SeedRefusedError(str(error)) from error
        self._episode += 1
        # The clock of a world goes on from episode to episode.
        self._ticks += 1 if self._episode == 1 else RUN_ON
        scenario, scene = self.scenario, self.world.scene
        self._referee = Referee(
            scene,
            scenario.task,
            scenario.target,
            scenario.goal,
            single(scenario.goal_radius),
            scene.control["max_steps"],
        )
        self._verdict = None
        return self._observe()

    def step(self, action: np.ndarray) -> Observation:
        """Execute an action (7,) as in ActionCommand for one control period."""
        self._ticks += 1
        self.exact_truth: WorldTruth = self.world.step(action)
        return self._observe()

    def _observe(self) -> Observation:
        self.truth = published_truth(self.exact_truth, self.scenario)
        if self._verdict is None:
            self._verdict = self._referee.update(self.truth)
        self._over = self._verdict is not None and self.is_over(self._verdict)
        # Nobody acts on what is seen after the end, and drawing is half of a step's time.
        drawn = () if self._over else self.cameras
        stamp = round(self._ticks * 1e9 * self.world.scene.control_period)
        return observe(self.world, self.exact_truth, drawn, stamp)

    def is_over(self, verdict: Verdict) -> bool:
        """Whether an episode whose outcome is certain ends; asked once at every step from then."""
        return True

    @property
    def verdict(self) -> Verdict | None:
        """What the outcome detector was first certain of; None: of nothing yet."""
        return self._verdict

    @property
    def result(self) -> EpisodeResult | None:
        """How the episode ended; None while it runs."""
        verdict = self._verdict
        if verdict is None or not self._over:
            return None
        failed = verdict.failure != FailureType.NONE
        return EpisodeResult(
            seed=self.scenario.seed,
            outcome=Outcome.FAILED if failed else Outcome.SUCCEEDED,
            failure=verdict.failure.name.lower() if failed else "",
            onset_step=verdict.onset_step,
            steps=verdict.step,
            description=verdict.description,
            faults=tuple(
                Fault(
                    kind=fault.kind,
                    magnitude=single(fault.magnitude),
                    unit=fault.unit,
                    onset_step=fault.onset_step,
                    duration_steps=fault.duration_steps,
                )
                for fault in self.exact_truth.faults
            ),
            info={"task": self.scenario.task, "instruction": self.scenario.instruction},
        )

    @property
    def start(self) -> EpisodeStart:
        """What the present episode starts from."""
        scenario, (difficulty, profile) = self.scenario, self._settings
        return EpisodeStart(
            number=self._episode,
            seed=scenario.seed,
            instruction=scenario.instruction,
            task=scenario.task,
            difficulty=difficulty,
            fault_profile=profile,
            target_object=scenario.target,
            goal_pose=(*(float(value) for value in scenario.goal), 0.0, 0.0, 0.0, 1.0),
            goal_radius=single(scenario.goal_radius),
            max_steps=self.world.scene.control["max_steps"],
            lockstep=True,
        )

    def draw_once(self) -> None:
        """Make the GL context now: a machine that has none fails before the first episode.

        Raises:
            WorldError: there is none; the message says what to install.
        """
        if not self.cameras:
            return
        difficulty, profile = self._settings
        with contextlib.suppress(WorldError):  # a start that is refused can be drawn, too
            self.world.reset(0, difficulty, profile)
        self.world.render(self.cameras[0])


def joint_names(scene: Scene) -> tuple[str, ...]:
    """The arm's joints, then the fingers'."""
    return (*scene.arm["joint_names"], *scene.arm["finger_names"])


def object_names(scene: Scene) -> tuple[str, ...]:
    """Every object that ground truth may name."""
    return (*scene.objects["names"], OBSTACLE)
