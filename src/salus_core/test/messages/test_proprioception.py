# SPDX-License-Identifier: Apache-2.0
"""Joints and tool pose, from one or several publishers."""

import math

import numpy as np
import pytest
from made_up_messages import joints, pose, step

from salus_core.messages import BodyNames, InvalidInputError, Synchroniser, require_joint_state

NAMES = ("position.a", "position.grip", "velocity.a", "velocity.grip", "tool.x", "tool.qw")


def match(*messages, names=NAMES, tolerance=0.0):
    body, found = BodyNames(names), []
    sync = Synchroniser(body.inputs(), found.append, tolerance)
    for now, message in enumerate([*messages, pose(5, x=3.0)]):
        sync.add("tool_pose" if hasattr(message, "pose") else "joint_states", message, now * 1e-3)
    sync.add_anchor(step(5, 1, 0), 0.1, (1, 0), 1)
    sync.finish()
    return body.values(found[0].values), found[0].missing


def test_arm_and_gripper_in_separate_messages_are_merged():
    values, missing = match(joints(5, ["a"], [1.0], [0.5]), joints(5, ["grip"], [2.0]))
    assert not missing
    np.testing.assert_array_equal(values, np.float32([1, 2, 0.5, math.nan, 3, 1]))


def test_each_joint_comes_from_the_message_nearest_to_the_anchor_that_names_it():
    values, _ = match(
        joints(2, ["a", "x"], [0.0, 9.0]),
        joints(4, ["a", "x"], [1.0, 9.0]),
        joints(7, ["grip"], [2.0]),
        tolerance=1e-8,
    )
    np.testing.assert_array_equal(values[:2], np.float32([1, 2]))


def test_a_velocity_that_is_nan_is_absent_and_joints_that_nobody_asked_for_are_not_looked_at():
    nan = math.nan
    values, missing = match(joints(5, ["a", "grip", "x"], [1.0, 2.0, nan], [nan, 1.0, math.inf]))
    assert not missing
    np.testing.assert_array_equal(values, np.float32([1, 2, nan, 1, 3, 1]))
    require_joint_state(
        joints(5, ["a", "x"], [1.0, nan], [nan, nan]).__class__(
            name=["a", "x"], position=[1.0, nan], velocity=[nan, nan], effort=[]
        ),
        joints=["a"],
    )


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (joints(5, ["a", "grip"], []), "2 joints are named, but 0 values of position"),
        (joints(5, ["a", "grip"], [1.0, math.nan]), "position of grip is nan"),
        (joints(5, ["a", "grip"], [1.0, 2.0], [math.inf, 0.0]), "velocity of a is inf"),
        (joints(5, ["b", "grap"], [1.0, 2.0]), "it lacks a, grip; it has b, grap"),
    ],
)
def test_joints_that_cannot_be_used_are_missing_with_the_reason(message, reason):
    values, missing = match(message)
    assert reason in missing["joint_states"]
    assert np.isnan(values[:4]).all()


def test_names_that_no_message_has_are_refused():
    with pytest.raises(ValueError, match=r"reads 'force\.z', which no message has"):
        BodyNames(["force.z"])
    with pytest.raises(InvalidInputError, match="lacks b; it has a"):
        require_joint_state(
            joints(5, ["a"], [1.0]).__class__(name=["a"], position=[1.0], velocity=[], effort=[]),
            joints=["b"],
        )
