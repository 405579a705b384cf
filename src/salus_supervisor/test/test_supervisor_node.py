# SPDX-License-Identifier: Apache-2.0
import math
import time

import pytest
from builtin_interfaces.msg import Time
from rclpy.parameter import Parameter
from salus_msgs.msg import EpisodeStatus, Intervention, SignalInfo
from std_msgs.msg import Header
from supervisor_rig import ACTION

from salus_core.actions import TOOL_MOTION, ActionSpec
from salus_supervisor.supervisor_node import SupervisorNode

pytestmark = pytest.mark.ros

PATIENT = {"episode_source": "signals", "max_proposal_age": 1000.0, "proposal_slack": 60.0}
ARMS = ActionSpec.of(
    [f"{side}_joint_{i}" for side in ("left", "right") for i in range(7)],
    ("rad",) * 14,
    ("joint_position",) * 14,
)


@pytest.fixture
def rig(rig_of):
    return rig_of()


def test_each_step_of_the_running_episode_gets_one_command_and_one_intervention(rig):
    rig.begin(1)
    for step in (0, 1, 1, 2):
        rig.propose(1, step)
    rig.until(lambda: len(rig.interventions) == 3)
    rig.settle()
    assert rig.steps() == [(1, 0), (1, 1), (1, 2)]
    command, intervention = rig.commands[1], rig.interventions[1]
    assert list(command.action) == list(intervention.proposed) == list(intervention.executed)
    assert list(command.action) == ACTION
    assert command.header == intervention.header == Header(stamp=Time(sec=2), frame_id="base")
    assert (intervention.kind, intervention.reason) == (Intervention.KIND_PASS, "")


def test_signals_that_come_before_their_episode_wait_for_it(rig):
    rig.propose(1, 0)
    rig.settle()
    assert not rig.commands
    rig.begin(1)
    rig.until(lambda: rig.steps() == [(1, 0)])


@pytest.mark.parametrize(
    ("episode", "step", "message"), [(1, 9, "of episode 1"), (2, 3, "of step 3")]
)
def test_signals_of_the_past_are_ignored_with_a_warning(rig, capfd, episode, step, message):
    rig.begin(2)
    rig.propose(2, 5)
    rig.until(lambda: rig.commands)
    rig.propose(episode, step)
    rig.settle()
    assert rig.steps() == [(2, 5)]
    assert f"ignoring signals {message}" in capfd.readouterr().err
    assert rig.supervisor.diagnostics.drops == 1


def test_late_signals_from_before_the_end_are_still_answered(rig):
    rig.begin(1)
    rig.propose(1, 0)
    rig.until(lambda: rig.steps() == [(1, 0)])
    rig.episode.publish(EpisodeStatus(episode=1, step=3, state=EpisodeStatus.STATE_SUCCEEDED))
    rig.until(
        lambda: rig.supervisor._episodes.current.status.state == EpisodeStatus.STATE_SUCCEEDED
    )
    for step in (1, 2, 3):
        rig.propose(1, step)
    rig.settle()
    assert rig.steps() == [(1, 0), (1, 1), (1, 2)]


def test_an_ended_episode_gets_no_command(rig):
    rig.begin(1)
    rig.begin(1, EpisodeStatus.STATE_SUCCEEDED)
    rig.propose(1, 7)
    rig.settle()
    assert not rig.commands


def test_nan_holds_the_pose_with_the_gripper_kept_and_the_reason_told(rig):
    rig.begin(1)
    rig.propose(1, 0)
    rig.propose(1, 1, [math.nan, *ACTION[1:6], 1.0])
    rig.until(lambda: len(rig.interventions) == 2)
    assert list(rig.commands[1].action) == [0.0] * 7
    assert rig.interventions[1].kind == Intervention.KIND_HOLD
    assert rig.interventions[1].reason == "proposed x is nan"
    assert math.isnan(rig.interventions[1].proposed[0])


def test_the_gripper_kept_while_holding_is_open_at_the_start_of_an_episode(rig):
    rig.begin(1)
    rig.propose(1, 0)
    rig.until(lambda: rig.commands)
    rig.begin(2)
    rig.propose(2, 0, [9.0, *ACTION[1:]])
    rig.until(lambda: len(rig.commands) == 2)
    assert rig.commands[1].action[6] == 1.0


@pytest.fixture
def robot(rig_of):
    """A robot whose episodes nobody judges, with a control period that no test waits for."""
    return rig_of(lockstep=False, period=0.002, **PATIENT)


def test_without_a_referee_the_signals_tell_the_episode(robot):
    for episode, step in ((1, 4), (1, 5), (2, 0), (1, 6)):
        robot.propose(episode, step)
    robot.until(lambda: robot.steps() == [(1, 4), (1, 5), (2, 0)])


def test_an_inactive_supervisor_sends_nothing(rig):
    rig.begin(1)
    rig.supervisor.trigger_deactivate()
    rig.propose(1, 0)
    rig.settle()
    assert not rig.commands


@pytest.mark.parametrize("count", [0, 6, 14, 65])
def test_an_action_of_another_length_holds_the_robot_with_both_lengths_told(rig, count):
    rig.begin(1)
    rig.propose(1, 0, [0.0] * 6 + [0.4])
    rig.until(lambda: len(rig.commands) == 1)
    rig.propose(1, 1, [0.01] * count)
    rig.until(lambda: len(rig.interventions) == 2)
    assert list(rig.commands[1].action) == [0.0] * 6 + [0.4]
    told = rig.interventions[1]
    assert told.kind == Intervention.KIND_HOLD
    assert told.reason == f"the proposed action has {count} numbers, 7 are declared"
    assert list(told.proposed) == ([0.01] * count if count <= 64 else [])
    assert rig.problem() == told.reason
    rig.propose(1, 2)
    rig.until(lambda: len(rig.commands) == 3)
    assert rig.problem() == ""


def test_nothing_is_executed_before_signal_info_tells_what_the_numbers_are(rig_of):
    rig = rig_of(spec=None)
    rig.begin(1)
    rig.propose(1, 0)
    rig.until(lambda: "before signal_info" in rig.problem())
    rig.settle()
    assert not rig.commands
    rig.announce(TOOL_MOTION)
    rig.until(lambda: rig.steps() == [(1, 0)])
    assert rig.problem() == ""


def test_a_signal_info_that_contradicts_itself_executes_nothing(rig_of):
    rig = rig_of(spec=None)
    rig.begin(1)
    rig.info.publish(SignalInfo(action_names=["x", "y"], action_units=["m"], action_kinds=["base"]))
    rig.until(lambda: rig.problem() != "")
    assert rig.problem().startswith("signal_info: 1 action units are given for 2 action names")
    rig.propose(1, 0)
    rig.settle()
    assert not rig.commands


@pytest.fixture
def arms(rig_of):
    rig = rig_of(spec=ARMS)
    rig.begin(1)
    return rig


def test_joint_positions_of_two_arms_pass_and_the_last_targets_hold(arms):
    arms.propose(1, 0, [0.1] * 14)
    arms.propose(1, 1, [0.15] * 14)
    arms.propose(1, 2, [math.nan] + [0.15] * 13)
    arms.until(lambda: len(arms.interventions) == 3)
    assert [list(command.action) for command in arms.commands] == [
        [0.1] * 14,
        [0.15] * 14,
        [0.15] * 14,
    ]


@pytest.mark.parametrize("count", [0, 6, 65])
def test_two_arms_whose_joints_nobody_tells_get_nothing_for_a_wrong_length(arms, count):
    arms.propose(1, 0, [0.0] * count)
    arms.until(lambda: arms.interventions)
    arms.settle()
    assert not arms.commands
    (told,) = arms.interventions
    assert told.kind == Intervention.KIND_HOLD
    assert told.reason.startswith(f"the proposed action has {count} numbers, 14 are declared; ")
    assert "nothing is sent, as it is not known where to hold left_joint_0" in told.reason
    assert list(told.executed) == []
    assert arms.problem() == told.reason


def test_measured_joints_hold_two_arms_before_anything_was_commanded(arms):
    where = {name: 0.1 * i for i, name in enumerate(ARMS.names)}
    left, right = (
        {n: p for n, p in where.items() if n.startswith(side)} for side in ("left", "right")
    )
    arms.measure({**right, "neck": 3.0})  # each arm has a message of its own, in any order
    arms.measure(dict(reversed(left.items())))
    arms.propose(1, 0, [0.0] * 6)
    arms.until(lambda: arms.commands)
    assert list(arms.commands[0].action) == pytest.approx(list(where.values()))
    arms.propose(1, 1, [position + 0.3 for position in where.values()])
    arms.until(lambda: len(arms.commands) == len(arms.interventions) == 2)
    assert list(arms.commands[1].action) == pytest.approx(list(where.values()))
    assert arms.interventions[1].reason == "proposed step of left_joint_0 of 0.3 exceeds 0.2"


def test_joints_measured_too_long_ago_hold_nothing(arms):
    arms.measure(dict.fromkeys(ARMS.names, 0.5))
    time.sleep(0.6)
    arms.propose(1, 0, [0.0] * 6)
    arms.until(lambda: arms.interventions)
    arms.settle()
    assert not arms.commands


def test_limits_per_kind_are_parameters(rig_of):
    spec = ActionSpec.of(("wheel", "turn"), ("rad/s", "rad/s"), ("joint_velocity", "base"))
    rig = rig_of(spec=spec, max_joint_velocity=0.5, max_base_velocity=0.2)
    rig.begin(1)
    for step, action in enumerate(([0.4, 0.1], [0.6, 0.1], [0.4, 0.3])):
        rig.propose(1, step, action)
    rig.until(lambda: len(rig.interventions) == 3)
    assert [list(command.action) for command in rig.commands] == [[0.4, 0.1], [0, 0], [0, 0]]
    assert "velocity of wheel of 0.6 exceeds 0.5" in rig.interventions[1].reason
    assert "velocity of turn of 0.3 exceeds 0.2" in rig.interventions[2].reason


def test_a_policy_that_was_restarted_counts_from_the_beginning_and_is_answered(robot):
    for step in range(4):
        robot.propose(1, step)
    robot.propose(2, 0)
    robot.propose(1, 0)
    robot.propose(1, 1)
    # Its first observation may be incomplete: then it begins later, but has announced itself.
    robot.info.publish(robot.described)
    robot.until(lambda: robot.supervisor._announced)
    robot.propose(1, 1)
    robot.until(lambda: len(robot.commands) == 8)
    assert robot.steps()[4:] == [(2, 0), (1, 0), (1, 1), (1, 1)]


def test_a_world_that_was_restarted_begins_its_first_episode_again(rig):
    rig.begin(1)
    for step in range(3):
        rig.propose(1, step)
    rig.until(lambda: len(rig.commands) == 3)
    rig.begin(2)
    rig.propose(1, 0, seconds=50)  # of the new world, before its status has come
    rig.settle()
    assert len(rig.commands) == 3
    rig.begin(1)
    rig.until(lambda: len(rig.commands) == 4)
    rig.begin(1, EpisodeStatus.STATE_ABORTED)
    rig.begin(1)
    rig.propose(1, 0, seconds=90)
    rig.propose(1, 1, seconds=91)
    rig.until(lambda: len(rig.commands) == 6)
    rig.begin(1)  # a referee may say so again, for example as a fault begins
    rig.propose(1, 1, seconds=91)
    rig.propose(1, 0, seconds=190)  # killed in the middle of its first episode
    rig.until(lambda: len(rig.commands) == 7)
    assert rig.steps()[3:] == [(1, 0), (1, 0), (1, 1), (1, 0)]


LIMITS = ("max_translation", "max_rotation", "max_joint_step", "max_joint_velocity")


@pytest.mark.parametrize("name", [*LIMITS, "max_base_velocity", "max_proposal_age"])
def test_no_limit_changes_while_the_node_runs_or_starts_beyond_any_robot(ros, name):
    node = SupervisorNode()
    (result,) = node.set_parameters([Parameter(name, value=0.6)])
    assert not result.successful
    node.destroy_node()
    node = SupervisorNode(parameter_overrides=[Parameter(name, value=1e9)])
    assert not node.start()
    node.destroy_node()
