# SPDX-License-Identifier: Apache-2.0
"""Actions as the messages of controllers."""

import math

import pytest
from std_msgs.msg import Header

from salus_core.actions import TOOL_MOTION, ActionError, ActionSpec
from salus_supervisor.controller_messages import OUTPUTS, Converter, Limits

HEADER = Header(frame_id="base")
ARM = ActionSpec.of(
    ("elbow", "jaw", "wrist"), ("rad", "1", "rad"), ("joint_position", "gripper", "joint_position")
)
WHEELS = ActionSpec.of(("left", "right"), ("rad/s", "rad/s"), ("joint_velocity",) * 2)


def test_motion_of_a_period_is_a_velocity():
    converter = Converter("twist", TOOL_MOTION, 0.05, Limits())
    message, said = converter.message([0.01, 0, -0.02, 0.1, 0, 0, 1.0], HEADER)
    linear, angular = message.twist.linear, message.twist.angular
    assert (linear.x, linear.y, linear.z) == pytest.approx((0.2, 0.0, -0.4))
    assert (angular.x, angular.y, angular.z) == pytest.approx((2.0, 0.0, 0.0))
    assert (message.header.frame_id, said) == ("base", "")


def test_a_velocity_beyond_its_limit_keeps_its_direction():
    converter = Converter("twist", TOOL_MOTION, 0.1, Limits(linear=0.5, angular=1.0))
    message, said = converter.message([0.3, 0.4, 0, 0, 0, 0.05, 0], HEADER)
    assert (message.twist.linear.x, message.twist.linear.y) == pytest.approx((0.3, 0.4))
    assert message.twist.angular.z == pytest.approx(0.5)
    assert said == "the tool: 5 is scaled to 0.5"


def test_joints_keep_their_names_and_order_and_the_gripper_its_own_message():
    converter = Converter("trajectory", ARM, 0.04, Limits(), gripper=(0.8, 0.0))
    message, _ = converter.message([0.1, 0.25, -0.3], HEADER)
    assert message.joint_names == converter.joints == ["elbow", "wrist"]
    (point,) = message.points
    assert list(point.positions) == [0.1, -0.3]
    assert (point.time_from_start.sec, point.time_from_start.nanosec) == (0, 40_000_000)
    assert message.header.stamp.sec == 0  # from now on
    assert list(converter.gripper([0.1, 0.25, -0.3]).data) == pytest.approx([0.6])
    assert converter.gripper([0.1, 7.0, -0.3]).data[0] == 0.0
    positions, _ = Converter("positions", ARM, 0.04, Limits()).message([0.1, 0, -0.3], HEADER)
    assert list(positions.data) == [0.1, -0.3]


def test_what_stops_a_robot_depends_on_the_controller():
    stops = {
        output: Converter(output, spec, 0.05, Limits(joint=1.0)).stop(HEADER)
        for output, spec in zip(OUTPUTS, (TOOL_MOTION, ARM, WHEELS, ARM), strict=True)
    }
    assert stops["twist"].twist.linear.x == 0.0
    assert stops["positions"] is None
    assert list(stops["velocities"].data) == [0.0, 0.0]
    assert stops["trajectory"].points == []
    message, said = Converter("velocities", WHEELS, 0.05, Limits(joint=1.0)).message(
        [2, -4], HEADER
    )
    assert list(message.data) == [0.5, -1.0]
    assert "scaled to 1" in said


@pytest.mark.parametrize(
    ("output", "spec"), [("twist", ARM), ("positions", TOOL_MOTION), ("velocities", ARM)]
)
def test_an_action_of_other_kinds_is_refused_by_name(output, spec):
    with pytest.raises(ActionError, match=rf"output '{output}' needs .* but the action has"):
        Converter(output, spec, 0.05, Limits())


@pytest.mark.parametrize("values", [[], [0.0] * 6, [0.0] * 8, [math.nan] * 7, [math.inf] * 7])
def test_a_wrong_length_or_number_is_refused(values):
    with pytest.raises(ActionError):
        Converter("twist", TOOL_MOTION, 0.05, Limits()).message(values, HEADER)
