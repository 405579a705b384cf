import math

import pytest

from salus_supervisor.guard import check

SANE = (0.01, 0.0, -0.01, 0.0, 0.0, 0.1, 0.0)


def guarded(action, gripper=0.3):
    return check(action, gripper, max_translation=0.05, max_rotation=0.3)


def test_a_sane_action_passes_unchanged():
    decision = guarded(SANE)
    assert decision.action == SANE
    assert decision.reason == ""


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
def test_anything_else_holds_the_pose_keeps_the_gripper_and_says_why(index, value, reason):
    action = list(SANE)
    action[index] = value
    decision = guarded(action)
    assert decision.action == (0, 0, 0, 0, 0, 0, 0.3)
    assert decision.reason.startswith(reason)


def test_the_largest_allowed_translation_passes():
    assert guarded((0.03, 0.04, 0, 0, 0, 0, 1.0)).reason == ""


def test_an_action_of_another_size_is_a_mistake():
    with pytest.raises(ValueError, match="shorter"):
        guarded((0.0,) * 6)
