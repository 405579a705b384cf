# SPDX-License-Identifier: Apache-2.0
"""The referee: success, collision, drop, miss and timeout from ground truth alone.

A failure is dated to its onset, not to the step at which it became certain: a drop to the first
lost contact, a miss to the first full closure, a collision to the first forceful contact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from salus_core.failures import FailureType
from salus_sim.scenario import Scenario
from salus_sim.scene import Scene
from salus_sim.tasks import PUSH
from salus_sim.truth import GroundTruth

_CLOSING = 0.5  # opening commands below it close the gripper
_STILL = 0.0005  # fingers that move less per step have stopped [m]
_EMPTY = 0.6  # of the target's size: a closed gripper narrower than this holds nothing


@dataclass
class Verdict:
    """How an episode ended.

    Attributes:
        failure: FailureType.NONE is success.
        step: the episode's last step, at which the referee became certain.
        onset_step: the failure's first step; equals `step` for success and timeout.
        description: for people, with figures.
    """

    failure: FailureType
    step: int
    onset_step: int
    description: str


class Referee:
    """Judges one episode, step by step."""

    def __init__(
        self,
        scene: Scene,
        task: str,
        target: str,
        goal: np.ndarray,
        goal_radius: float,
        max_steps: int,
    ) -> None:
        """Start judging.

        Args:
            scene: thresholds are in its section `referee`.
            task: a key of the scene's tasks; in a push nothing is grasped, so nothing is missed.
            target: name of the object that must reach the goal.
            goal: (3,) centre of the surface on which it must come to rest [m].
            goal_radius: the target's centre must rest so near to it in the plane [m].
            max_steps: the step at which an undecided episode fails by timeout.
        """
        self._grasps = task != PUSH
        self._rules = scene.referee
        self._period = scene.control_period
        self._target, self._goal, self._radius = target, np.asarray(goal), goal_radius
        self._max_steps = max_steps
        self._rest_height: float | None = None
        self._last_position: np.ndarray | None = None
        self._lifted = False  # the target has been lifted and not yet lost for good
        self._lost_at: int | None = None
        self._closing_since: int | None = None
        self._closing_height = 0.0
        self._closed_at: int | None = None  # the fingers have stopped
        self._last_width = np.inf
        self._resting = 0

    @classmethod
    def of(cls, scene: Scene, scenario: Scenario) -> Referee:
        """The referee of a scenario."""
        return cls(
            scene,
            scenario.task,
            scenario.target,
            scenario.goal,
            scenario.goal_radius,
            scene.control["max_steps"],
        )

    def update(self, truth: GroundTruth) -> Verdict | None:
        """Judge the next step; None while the episode is undecided.

        Raises:
            KeyError: the truth does not hold the target.
        """
        position = truth.object_poses[self._target][:3]
        if self._rest_height is None:
            self._rest_height = float(position[2])
            self._last_position = position
        self._track(truth, position)
        self._last_position = position.copy()
        return (
            self._collision(truth)
            or self._success(truth)
            or self._drop(truth, position)
            or self._miss(truth)
            or self._timeout(truth)
        )

    def _track(self, truth: GroundTruth, position: np.ndarray) -> None:
        held = truth.grasped_object == self._target
        height = position[2] - self._rest_height
        if held:
            self._lost_at = None
            if height > self._rules["lift_height"]:
                self._lifted = True
        elif self._lifted and self._lost_at is None:
            self._lost_at = truth.step
        speed = np.linalg.norm(position - self._last_position) / self._period
        inside = np.linalg.norm(position[:2] - self._goal[:2]) <= self._radius
        resting = speed < self._rules["rest_speed"] and not held and inside
        there = abs(height - self._goal[2]) < self._rules["lift_height"] / 2
        self._resting = self._resting + 1 if resting and there else 0

    def _collision(self, truth: GroundTruth) -> Verdict | None:
        if truth.contact_force < self._rules["collision_force"]:
            return None
        text = f"the arm or its load hit {truth.contact_body} with {truth.contact_force:.0f} N"
        return Verdict(FailureType.COLLISION, truth.step, truth.step, text)

    def _success(self, truth: GroundTruth) -> Verdict | None:
        if self._resting < self._rules["rest_steps"]:
            return None
        text = f"{self._target} rests on the goal"
        return Verdict(FailureType.NONE, truth.step, truth.step, text)

    def _drop(self, truth: GroundTruth, position: np.ndarray) -> Verdict | None:
        if self._lost_at is None:
            return None
        if truth.step - self._lost_at < self._rules["lost_contact_steps"]:
            return None
        distance = np.linalg.norm(position[:2] - self._goal[:2])
        fallen = position[2] - self._rest_height < self._goal[2] - self._rules["lift_height"]
        if distance <= self._radius and not fallen:
            return None  # let go over the goal: it succeeds once it rests there
        text = f"{self._target} left the gripper {distance * 100:.0f} cm from the goal's centre"
        return Verdict(FailureType.DROP, truth.step, self._lost_at, text)

    def _miss(self, truth: GroundTruth) -> Verdict | None:
        if self._lifted or not self._grasps:
            return None
        before, self._last_width = self._last_width, truth.gripper_width
        if truth.gripper_command >= _CLOSING:
            self._closing_since = self._closed_at = None
            return None
        size = 2 * self._rest_height
        if truth.gripper_width < _EMPTY * size:
            text = f"the gripper closed to {truth.gripper_width * 1000:.0f} mm without the object"
            onset = truth.step
            return Verdict(FailureType.MISSED_GRASP, truth.step, onset, text)
        if self._closing_since is None:
            self._closing_since, self._closing_height = truth.step, truth.tool_position[2]
        elif self._closed_at is None and abs(before - truth.gripper_width) < _STILL:
            self._closed_at = truth.step - 1
        risen = truth.tool_position[2] - self._closing_height
        if risen > self._rules["hover_height"] and truth.grasped_object != self._target:
            text = f"the arm rose {risen * 100:.0f} cm with closed fingers and without the object"
            onset = self._closing_since if self._closed_at is None else self._closed_at
            return Verdict(FailureType.MISSED_GRASP, truth.step, onset, text)
        return None

    def _timeout(self, truth: GroundTruth) -> Verdict | None:
        if truth.step < self._max_steps:
            return None
        text = f"no success within {self._max_steps} steps"
        return Verdict(FailureType.TIMEOUT, truth.step, truth.step, text)
