# SPDX-License-Identifier: Apache-2.0
import math

import pytest
from made_up_messages import Message, pose

from salus_core.messages import (
    InvalidInputError,
    require_finite,
    require_joint_state,
    require_pose,
)


def joints(**change):
    values = {"name": ["j1", "j2"], "position": [0.0, 1.0], "velocity": [0.0, 0.0], "effort": []}
    return Message(**{**values, **change})


def test_a_good_joint_state_passes():
    require_joint_state(joints(), joints=["j2"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"position": [0.0, math.nan]}, "joint_states: position of j2 is nan"),
        ({"velocity": [math.inf, 0.0]}, "joint_states: velocity of j1 is inf"),
        ({"position": [0.0]}, "2 joints are named, but 1 values of position"),
        ({"name": ["j1", "j3"]}, "lacks j2; it has j1, j3"),
    ],
)
def test_a_bad_joint_state_names_the_joint(change, message):
    with pytest.raises(InvalidInputError, match=message):
        require_joint_state(joints(**change), joints=["j1", "j2"])


def test_values_without_names_are_named_by_index():
    with pytest.raises(InvalidInputError, match="action: element 1 is -inf"):
        require_finite("action", [0.0, -math.inf])


def test_a_pose_needs_finite_numbers_and_a_unit_quaternion():
    require_pose(pose(0).pose, "tool_pose")
    with pytest.raises(InvalidInputError, match=r"tool_pose: position\.x is nan"):
        require_pose(pose(0, x=math.nan).pose, "tool_pose")
    with pytest.raises(InvalidInputError, match="tool_pose: orientation has length 0"):
        require_pose(pose(0, w=0.0).pose, "tool_pose")
