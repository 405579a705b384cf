# SPDX-License-Identifier: Apache-2.0
"""Each case is a short story told in ground truth; the referee must date it right."""

import numpy as np
import pytest

from salus_core.failures import FailureType
from salus_sim.referee import Referee
from salus_sim.truth import GroundTruth

GOAL = np.array([0.5, 0.2, 0.0])
REST = 0.02
START = np.array([0.5, -0.1, REST])


class Story:
    """Feeds a referee, one step after the other."""

    def __init__(self, scene, max_steps=200, task="put_on", goal=GOAL, radius=0.05):
        self.referee = Referee(scene, task, "red_cube", goal, radius, max_steps)
        self.step = -1
        self.verdict = None

    def tell(self, position=START, held="", opening=1.0, width=0.08, tool_z=0.2, force=0.0, n=1):
        for _ in range(n):
            assert self.verdict is None, "the story goes on after its end"
            self.step += 1
            self.verdict = self.referee.update(
                GroundTruth(
                    step=self.step,
                    tool_position=np.array([position[0], position[1], tool_z]),
                    object_poses={"red_cube": np.array([*position, 0, 0, 0, 1.0])},
                    gripper_width=width,
                    gripper_command=opening,
                    grasped_object=held,
                    contact_force=force,
                    contact_body="obstacle" if force else "",
                )
            )
        return self

    def grasp_and_lift(self):
        self.tell(n=3)
        self.tell(held="red_cube", opening=0.0, width=0.04, tool_z=0.02, n=3)
        return self.tell([*START[:2], REST + 0.1], "red_cube", 0.0, 0.04, 0.12, n=4)


@pytest.fixture
def story(scene):
    return Story(scene)


def test_resting_on_the_goal_is_success(story):
    story.grasp_and_lift()
    place = np.array([*GOAL[:2], REST])
    story.tell(place, "red_cube", 0.0, 0.04, 0.02, n=2)
    for _ in range(10):
        story.tell(place, tool_z=0.05)
        if story.verdict:
            break
    assert story.verdict.failure == FailureType.NONE


def test_an_object_pushed_through_the_goal_is_no_success(story):
    for i in range(10):
        story.tell(np.array([GOAL[0] - 0.05 + 0.01 * i, GOAL[1], REST]))
    assert story.verdict is None


def test_a_drop_is_dated_to_the_first_lost_contact(story):
    story.grasp_and_lift()
    lost = story.step + 1
    for height in (0.1, 0.06, 0.02, 0.0, 0.0, 0.0):
        if story.verdict is None:
            story.tell([0.55, -0.1, REST + height], "", 0.0, 0.02, 0.12)
    assert story.verdict.failure == FailureType.DROP
    assert story.verdict.onset_step == lost
    assert story.verdict.step > lost


def test_a_moment_without_contact_is_no_drop(story):
    story.grasp_and_lift()
    carried = [0.5, 0.0, REST + 0.1]
    story.tell(carried, "", 0.0, 0.04, 0.12, n=2)
    story.tell(carried, "red_cube", 0.0, 0.04, 0.12, n=10)
    assert story.verdict is None


def test_placing_beside_the_goal_is_a_drop(story):
    story.grasp_and_lift()
    beside = np.array([GOAL[0] + 0.08, GOAL[1], REST])
    story.tell(beside, "red_cube", 0.0, 0.04, 0.03, n=2)
    while story.verdict is None:
        story.tell(beside, "", 1.0, 0.08, 0.05)
    assert story.verdict.failure == FailureType.DROP


def test_a_full_closure_without_the_object_is_a_miss_at_that_step(story):
    story.tell(n=4)
    story.tell(opening=0.0, width=0.06, tool_z=0.02)
    story.tell(opening=0.0, width=0.03, tool_z=0.02)
    story.tell(opening=0.0, width=0.01, tool_z=0.02)
    assert story.verdict.failure == FailureType.MISSED_GRASP
    assert story.verdict.onset_step == story.step


def test_rising_with_something_else_in_the_hand_is_a_miss_dated_to_the_closure(story):
    story.tell(n=4)
    for width in (0.07, 0.06, 0.05):  # fingers take their time
        story.tell(opening=0.0, width=width, tool_z=0.02)
    closed = story.step + 1
    story.tell(held="blue_cube", opening=0.0, width=0.04, tool_z=0.02, n=3)
    while story.verdict is None:
        story.tell(held="blue_cube", opening=0.0, width=0.04, tool_z=0.09)
    assert story.verdict.failure == FailureType.MISSED_GRASP
    assert story.verdict.onset_step == closed


def test_a_forceful_contact_is_a_collision_at_once(story, scene):
    story.tell(n=2)
    story.tell(force=scene.referee["collision_force"] - 0.1)
    assert story.verdict is None
    story.tell(force=scene.referee["collision_force"])
    assert story.verdict.failure == FailureType.COLLISION
    assert story.verdict.onset_step == story.step
    assert "obstacle" in story.verdict.description


def test_an_undecided_episode_ends_by_timeout(scene):
    story = Story(scene, max_steps=20).tell(n=20)
    assert story.verdict is None
    story.tell()
    assert story.verdict.failure == FailureType.TIMEOUT
    assert story.verdict.onset_step == 20


def test_a_stacked_cube_succeeds_on_the_other_and_drops_beside_it(scene):
    base = 0.04
    goal = np.array([0.5, 0.2, base])
    for offset, end in (
        ((0.0, 0.0, REST + base), FailureType.NONE),
        ((0.0, 0.0, REST), FailureType.DROP),  # fell to the table within the radius
        ((0.05, 0.0, REST), FailureType.DROP),
    ):
        story = Story(scene, task="stack", goal=goal, radius=0.02).grasp_and_lift()
        place = np.array([*goal[:2], 0.0]) + offset
        story.tell([0.5, 0.2, REST + base], "red_cube", 0.0, 0.04, 0.06, n=2)
        while story.verdict is None:
            story.tell(place, tool_z=0.1)
        assert story.verdict.failure == end, offset


def test_closed_fingers_are_no_miss_in_a_push(scene):
    story = Story(scene, task="push")
    story.tell(opening=0.0, width=0.0, tool_z=0.02, n=5)
    story.tell(opening=0.0, width=0.0, tool_z=0.2, n=5)
    assert story.verdict is None
    for _ in range(10):
        if story.verdict is None:
            story.tell(np.array([*GOAL[:2], REST]), opening=0.0, width=0.0, tool_z=0.1)
    assert story.verdict.failure == FailureType.NONE
