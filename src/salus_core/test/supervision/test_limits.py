# SPDX-License-Identifier: Apache-2.0
import math

import pytest

from salus_core.actions import TOOL_MOTION, ActionError, ActionSpec
from salus_core.supervision import LimitCheck, Limits

SANE = (0.01, 0.0, -0.01, 0.0, 0.0, 0.1, 0.0)
JOINTS = ActionSpec.of(
    ("left_elbow", "left_gripper", "right_elbow"),
    ("rad", "1", "rad"),
    ("joint_position", "gripper", "joint_position"),
)


@pytest.fixture
def tool():
    check = LimitCheck(TOOL_MOTION, Limits(translation=0.05, rotation=0.3))
    check.check((0.0,) * 6 + (0.3,))
    return check


def test_a_sane_action_passes_unchanged(tool):
    decision = tool.check(SANE)
    assert decision.action == SANE
    assert decision.reason == ""
    assert not decision.held


@pytest.mark.parametrize(
    ("index", "value", "reason"),
    [
        (0, math.nan, "proposed x is nan"),
        (5, -math.inf, "proposed rotation z is -inf"),
        (6, math.nan, "proposed gripper is nan"),
        (1, 0.0501, "proposed translation of 0.0"),
        (4, -0.5, "proposed rotation of 0.51 rad exceeds 0.3 rad"),
        (6, 1.2, "proposed gripper opening of 1.2 is not within 0 and 1"),
    ],
)
def test_anything_else_holds_the_pose_keeps_the_gripper_and_says_why(tool, index, value, reason):
    action = list(SANE)
    action[index] = value
    decision = tool.check(action)
    assert decision.action == (0, 0, 0, 0, 0, 0, 0.3)
    assert decision.reason.startswith(reason)


def test_the_largest_allowed_translation_passes(tool):
    assert tool.check((0.03, 0.04, 0, 0, 0, 0, 1.0)).reason == ""


@pytest.mark.parametrize("size", [0, 6, 14])
def test_an_action_of_another_length_holds_and_names_both(tool, size):
    decision = tool.check((0.0,) * size)
    assert decision.action == (0, 0, 0, 0, 0, 0, 0.3)
    assert decision.reason == f"the proposed action has {size} numbers, 7 are declared"


def test_a_new_episode_holds_the_gripper_open(tool):
    tool.reset()
    assert tool.check((1.0,) * 7).action == (0, 0, 0, 0, 0, 0, 1.0)


def test_joints_hold_their_last_targets_and_nothing_before_any_is_known():
    check = LimitCheck(JOINTS, Limits(joint_step=0.1))
    assert check.check((math.nan, 0, 0)).action == ()
    check.measured((0.5, None, -0.5))
    assert check.check((0.7, 0, -0.5)).reason == "proposed step of left_elbow of 0.2 exceeds 0.1"
    assert check.check((0.55, 0.2, -0.5)).action == (0.55, 0.2, -0.5)
    assert check.hold("stale").action == (0.55, 0.2, -0.5)


def test_a_second_tool_has_limits_of_its_own():
    names = tuple(f"{arm}_{axis}" for arm in ("left", "right") for axis in "xyz")
    spec = ActionSpec.of(names, ("m",) * 6, ("tool_translation",) * 6)
    check = LimitCheck(spec, Limits(translation=0.05))
    assert check.check((0.04, 0, 0, 0, 0.04, 0)).reason == ""
    assert check.check((0, 0, 0, 0.04, 0.04, 0)).reason.startswith("proposed translation of 0.056")


@pytest.mark.parametrize(
    ("names", "units", "kinds", "scale", "reason"),
    [
        ((), (), (), (), "1 to 64 dimensions, not 0"),
        (("a",) * 65, ("m",) * 65, ("gripper",) * 65, (), "not 65"),
        (("a", "b"), ("m",), ("gripper",) * 2, (), "1 action units are given for 2"),
        (("a", "a"), ("m",) * 2, ("gripper",) * 2, (), "twice"),
        (("a",), ("m",), ("tentacle",), (), "'tentacle' does not exist"),
        (("a",), ("m",), ("gripper",), (0.0,), "must be positive"),
    ],
)
def test_an_impossible_description_is_refused(names, units, kinds, scale, reason):
    with pytest.raises(ActionError, match=reason):
        ActionSpec.of(names, units, kinds, scale)
