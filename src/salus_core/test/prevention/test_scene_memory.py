# SPDX-License-Identifier: Apache-2.0
"""What is known of a scene after several estimates of it."""

import numpy as np
import pytest

from salus_core.prevention.scene import SceneMemory
from salus_core.runtime import SceneEstimate

TOOL = np.array([0.4, 0.1, 0.3])


def estimate(std=None, **values):
    names = tuple(name.replace("_of_", ".") for name in values)
    numbers = np.array(list(values.values()), np.float32)
    return SceneEstimate(names, numbers, "test", None if std is None else np.array(std))


def test_what_rests_is_told_relative_to_where_the_tool_is_now():
    memory = SceneMemory()
    memory.update(estimate(goal_of_x=0.2, goal_of_y=0.0), TOOL)
    memory.update(estimate(goal_of_x=0.1, goal_of_y=0.0), TOOL + np.array([0.1, 0.0, 0.0]))
    np.testing.assert_allclose(memory.goal, [0.1, 0.0], atol=1e-6)


def test_estimates_count_by_their_standard_deviations():
    memory = SceneMemory()
    memory.update(estimate([0.04, 0.04], goal_of_x=0.3, goal_of_y=0.0), TOOL)
    memory.update(estimate([0.01, 0.01], goal_of_x=0.2, goal_of_y=0.0), TOOL)
    assert 0.2 < memory.goal[0] < 0.201


def test_near_the_goal_the_columns_for_there_count_too():
    memory = SceneMemory()
    near = estimate(
        [0.1, 0.1, 0.01, 0.01],
        goal_of_x=0.05,
        goal_of_y=0.0,
        near_goal_of_x=0.03,
        near_goal_of_y=0.0,
    )
    memory.update(near, TOOL)
    assert memory.goal[0] == pytest.approx(0.03, abs=1e-4)


def test_an_obstacle_that_is_not_there_is_not_known():
    memory = SceneMemory()
    there = {"obstacle_of_x": 0.1, "obstacle_of_y": 0.0, "obstacle_of_top": -0.1}
    memory.update(estimate(obstacle_of_present=0.2, **there), TOOL)
    assert np.isnan(memory.obstacle_top)
    assert np.isnan(memory.obstacle).all()
    memory.update(estimate(obstacle_of_present=0.9, **there), TOOL)
    assert memory.obstacle_top == pytest.approx(0.2)


@pytest.mark.parametrize("lost", ["estimate", "tool"])
def test_at_a_step_without_estimate_no_place_is_known(lost):
    memory = SceneMemory()
    memory.update(estimate(goal_of_x=0.2, goal_of_y=0.0), TOOL)
    if lost == "estimate":
        memory.update(None, TOOL)
    else:
        memory.update(estimate(goal_of_x=0.2, goal_of_y=0.0), np.full(3, np.nan))
    assert np.isnan(memory.goal).all()
    assert not memory.known("goal.x")


def test_a_new_episode_begins_with_nothing():
    memory = SceneMemory()
    memory.update(estimate(goal_of_x=0.2, goal_of_y=0.0, target_of_half_size=0.02), TOOL)
    memory.reset()
    memory.update(estimate(grasped=1.0), TOOL)
    assert np.isnan(memory.goal).all()
    assert np.isnan(memory.half_size)
