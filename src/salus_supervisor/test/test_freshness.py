# SPDX-License-Identifier: Apache-2.0
"""Out of lockstep: what is old moves nothing, and what is missing holds the robot."""

import math
import os
import signal
import subprocess
import sys
import time

import pytest
from builtin_interfaces.msg import Time
from rclpy.duration import Duration
from rclpy.parameter import Parameter
from salus_msgs.msg import EpisodeStatus, FailureForecast, Intervention, VlaSignals
from std_msgs.msg import Header
from supervisor_rig import ACTION, Rig

from salus_supervisor.supervisor_node import SupervisorNode

pytestmark = pytest.mark.ros

PERIOD = 1 / 30
HELD = [0.0] * 6 + [ACTION[6]]


class Robot(Rig):
    """A rig out of lockstep, at 30 Hz."""

    def __init__(self, **overrides):
        super().__init__(lockstep=False, episode_source="signals", **overrides)
        self.step = 0

    def drive(self, steps=5, then=lambda: None, age=0.0):
        """Propose step after step at the control period."""
        for _ in range(steps):
            due = time.monotonic() + PERIOD
            self.propose(1, self.step, age=age, wait=False)
            then()
            self.step += 1
            while time.monotonic() < due:
                self.executor.spin_once(timeout_sec=0.002)

    def forecast(self, alarm=False, age=0.0, status=FailureForecast.STATUS_OK, risk=0.1):
        stamp = (self.node.get_clock().now() - Duration(seconds=age)).to_msg()
        message = FailureForecast(
            header=Header(stamp=stamp), episode=1, step=self.step, status=status, alarm=alarm
        )
        message.risk, message.score, message.band = risk, 0.9 if alarm else 0.1, 0.5
        message.likeliest_failure_name = "drop"
        self.forecasts.publish(message)

    def holds(self):
        return [one for one in self.interventions if one.kind == Intervention.KIND_HOLD]

    def moved(self):
        return [one for one in self.commands if list(one.action) == ACTION]


@pytest.fixture
def robot_of(rig_of):
    return lambda **overrides: rig_of(kind=Robot, **overrides)


@pytest.fixture
def robot(robot_of):
    return robot_of()


def test_proposals_that_stop_hold_the_robot_and_their_return_is_told(robot):
    robot.drive()
    robot.until(robot.holds)
    (hold,) = robot.holds()
    assert hold.reason.startswith("watchdog: no fresh proposal for 0.0")
    assert (hold.episode, hold.step) == (1, robot.step - 1)
    assert list(hold.executed) == list(robot.commands[-1].action) == HELD
    assert hold.header.frame_id == "base"
    robot.until(lambda: "holding the robot: no fresh proposal for 0.3" in robot.problem())
    commands = len(robot.commands)
    assert 5 <= len([c for c in robot.commands if list(c.action) == HELD]) <= 11  # repeated
    assert len(robot.holds()) == 1  # but said once
    robot.drive(3)
    assert len(robot.moved()) >= 7
    assert len(robot.commands) > commands
    told = [one.reason for one in robot.interventions[-3:]]
    assert any(reason.startswith("proposals are fresh again after 0.") for reason in told)
    assert robot.problem() == ""


def test_the_cause_is_named_when_the_policy_is_gone(robot):
    robot.drive()
    robot.node.destroy_publisher(robot.signals)
    robot.until(lambda: "vla_signals has no publisher: its node is gone" in robot.problem())


@pytest.mark.parametrize(
    ("age", "said"),
    [
        (3600.0, "its observation is 3600.0"),
        (0.5, "its observation is 0.5"),
        (-3600.0, "s in the future by this node's clock"),
        (None, "its stamp is 0"),
    ],
)
def test_stale_proposals_move_nothing_and_the_reason_is_told(robot, age, said):
    robot.drive()
    moved = len(robot.moved())
    if age is None:
        for step in range(10):
            message = VlaSignals(episode=1, step=100 + step, action=ACTION)
            message.header = Header(stamp=Time(), frame_id="base")
            robot.signals.publish(message)
            robot.executor.spin_once(timeout_sec=PERIOD)
    else:
        robot.drive(10, age=age)
    assert len(robot.moved()) == moved
    robot.until(lambda: said in robot.problem())
    assert "the last one is refused" in robot.problem()
    robot.until(robot.holds)
    assert len(robot.holds()) == 1


def test_stale_proposals_from_the_beginning_are_a_problem_from_the_beginning(robot):
    robot.drive(3, age=2.0)
    assert not robot.commands
    assert robot.problem().startswith("nothing is executed: signals of step")


def test_a_flood_gives_one_command_in_a_control_period(robot):
    start = time.monotonic()
    step = 0
    while time.monotonic() - start < 1.0:
        robot.propose(1, step, wait=False)
        robot.executor.spin_once(timeout_sec=0)
        step += 1
    took = time.monotonic() - start
    assert step > 100
    assert 0.5 * took / PERIOD < len(robot.commands) <= took / (0.9 * PERIOD) + 1


@pytest.mark.parametrize("number", [2**32 - 1, 2**31])
@pytest.mark.parametrize("field", ["step", "episode"])
def test_one_large_number_locks_nothing_out(robot, field, number):
    robot.drive()
    wrong = {"episode": 1, "step": robot.step, field: number}
    robot.propose(wait=False, **wrong)
    moved = len(robot.moved())
    robot.drive(10)
    assert len(robot.moved()) - moved >= 8


@pytest.mark.parametrize("number", [2**32 - 1, 7])
def test_one_wrong_status_ends_no_episode_whose_proposals_go_on(rig_of, number):
    rig = rig_of()
    rig.begin(5)
    rig.propose(5, 0)
    rig.begin(number)
    rig.propose(5, 1)
    rig.until(lambda: rig.steps() == [(5, 0), (5, 1)])
    rig.begin(6)
    rig.propose(6, 0, seconds=50)
    rig.until(lambda: rig.steps()[-1] == (6, 0))


def test_a_policy_that_begins_anew_is_answered_at_once(robot):
    robot.step = 500
    robot.drive()
    robot.step = 0
    moved = len(robot.moved())
    robot.drive()
    assert len(robot.moved()) - moved >= 4


def test_a_supervisor_that_is_stopped_while_it_moves_the_robot_holds_it(robot, monkeypatch):
    # A busy machine must not give it another reason to hold.
    monkeypatch.setattr("salus_core.supervision.freshness.STANDSTILL", 1e9)
    robot.drive()
    robot.supervisor.trigger_deactivate()
    robot.until(robot.holds)
    assert robot.holds()[0].reason == "watchdog: the supervisor stops"
    assert list(robot.commands[-1].action) == HELD


def test_without_a_control_period_nothing_is_executed_and_the_remedy_is_told(rig_of):
    rig = rig_of(period=0.0, lockstep=False, episode_source="signals")
    rig.propose(1, 0)
    assert not rig.commands
    assert "set the parameter control_period" in rig.problem()


def test_a_wall_clock_that_is_set_back_costs_one_message(robot, monkeypatch):
    robot.drive()
    clock = robot.supervisor.get_clock()

    class SetBack:
        ros_time_is_active = False

        def now(self):
            return clock.now() - Duration(seconds=3600)

    monkeypatch.setattr(robot.supervisor, "get_clock", SetBack)
    moved = len(robot.moved())
    robot.drive(6, age=3600.0)
    assert len(robot.moved()) - moved >= 5


def test_a_clock_that_stops_with_the_proposals_does_not_keep_the_robot_moving(robot, monkeypatch):
    robot.drive()
    clock = robot.supervisor.get_clock()
    stopped = clock.now()

    class Stopped:
        ros_time_is_active = True

        def now(self):
            return stopped

    monkeypatch.setattr(robot.supervisor, "get_clock", Stopped)
    # From here on gaps are measured by the stopped clock.
    robot.supervisor._fresh_at = stopped.nanoseconds * 1e-9
    robot.until(robot.holds)
    assert "and the clock of the simulation stands still" in robot.holds()[0].reason


def test_a_silent_predictor_is_told_and_the_policy_goes_on(robot):
    robot.drive(20, then=robot.forecast)
    assert robot.status()[0] == "ok"
    moved = len(robot.moved())
    robot.drive(25)
    level, message = robot.status()
    assert level == "warn"
    assert message.startswith("no fresh forecast for 0.")
    assert message.endswith("the policy goes on")
    assert len(robot.moved()) - moved >= 20
    robot.drive(3, then=robot.forecast)
    assert robot.status()[0] == "ok"


def test_without_a_predictor_there_is_nothing_to_tell(robot):
    status = FailureForecast.STATUS_NO_CHECKPOINT
    robot.drive(25, then=lambda: robot.forecast(status=status))
    assert robot.status()[0] == "ok"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"age": 6.4}, "its observation is 6.4"),
        ({"age": -6.4}, "in the future"),
        ({"risk": math.nan}, "numbers that are not finite"),
    ],
)
def test_forecasts_that_cannot_be_right_are_refused(robot, fields, said, capfd):
    robot.drive(5, then=lambda: robot.forecast(alarm=True, **fields))
    assert said in capfd.readouterr().err
    assert robot.supervisor._watch.newest is None
    assert robot.supervisor._watch.late >= 4


def test_intervening_needs_a_choice_for_the_time_without_forecasts(ros, capfd):
    node = SupervisorNode(parameter_overrides=[Parameter("mode", value="intervene")])
    assert not node.start()
    assert "choose with parameter 'without_forecast'" in capfd.readouterr().err
    node.destroy_node()


def test_an_alarm_holds_the_robot_while_it_lasts(robot_of):
    robot = robot_of(mode="intervene", without_forecast="go_on")
    robot.drive(5, then=robot.forecast)
    assert not robot.holds()
    robot.drive(5, then=lambda: robot.forecast(alarm=True))
    held = robot.holds()
    assert len(held) >= 3
    assert held[-1].reason == "alarm: drop forecast, score 0.900 above 0.500"
    moved = len(robot.moved())
    robot.drive(5, then=robot.forecast)
    assert len(robot.moved()) - moved >= 3


def test_a_missing_forecast_holds_the_robot_where_that_was_chosen(robot_of):
    robot = robot_of(mode="intervene", without_forecast="hold")
    robot.drive(5, then=robot.forecast)
    moved = len(robot.moved())
    robot.drive(10)
    assert len(robot.moved()) - moved <= 4
    assert "watchdog: no fresh forecast for 0." in robot.holds()[0].reason
    robot.until(lambda: "the robot is held" in robot.problem())
    moved = len(robot.moved())
    robot.drive(5, then=robot.forecast)
    assert len(robot.moved()) - moved >= 3


def test_a_missing_forecast_lets_the_policy_go_on_where_that_was_chosen(robot_of):
    robot = robot_of(mode="intervene", without_forecast="go_on")
    robot.drive(10)
    assert len(robot.moved()) >= 8
    assert robot.status()[0] == "warn"


def test_in_lockstep_a_step_waits_for_its_forecast(rig_of):
    rig = rig_of(mode="intervene", without_forecast="hold")
    rig.begin(1)
    for step, alarm in ((0, False), (1, True), (2, False)):
        rig.propose(1, step, wait=False)
        assert len(rig.interventions) == step
        header = Header(stamp=Time(sec=1 + step))
        rig.forecasts.publish(FailureForecast(header=header, episode=1, step=step, alarm=alarm))
        rig.until(lambda: len(rig.interventions) == step + 1)  # noqa: B023
    assert [list(command.action) for command in rig.commands] == [ACTION, HELD, ACTION]


def test_in_lockstep_nothing_is_held_while_the_world_waits(rig_of):
    rig = rig_of()
    rig.begin(1)
    rig.propose(1, 0)
    rig.until(lambda: "the world waits (lockstep)" in rig.problem())
    assert rig.steps() == [(1, 0)]
    rig.propose(1, 1)
    rig.begin(1, EpisodeStatus.STATE_SUCCEEDED)
    assert rig.problem() == ""


def test_a_supervisor_that_was_stopped_for_seconds_sends_no_old_command(robot_of):
    """SIGSTOP, 2 s of proposals, SIGCONT: what waited is not executed, the next one is."""
    robot = robot_of()
    robot.executor.remove_node(robot.supervisor)
    robot.supervisor.close()
    command = [sys.executable, "-m", "salus_supervisor.supervisor_node", "--ros-args"]
    process = subprocess.Popen([*command, "-p", "episode_source:=signals"], env=os.environ)
    try:
        robot.until(lambda: robot.node.count_publishers("command") == 1, 20.0)
        robot.until(lambda: robot.drive(1) or robot.moved(), 20.0)
        robot.drive(10)
        process.send_signal(signal.SIGSTOP)
        robot.drive(3)
        del robot.commands[:]
        robot.drive(60)
        stopped = robot.node.get_clock().now()
        process.send_signal(signal.SIGCONT)
        resumed = time.monotonic()
        robot.until(lambda: robot.drive(1) or len(robot.moved()) >= 5, 20.0)
        most = (time.monotonic() - resumed) / (0.9 * PERIOD) + 2
    finally:
        process.kill()
        process.wait()
    assert any("this process stood still" in one.reason for one in robot.interventions)
    oldest = stopped - Duration(seconds=3 * PERIOD + 0.05)
    for sent in robot.moved():
        assert sent.header.stamp.sec + sent.header.stamp.nanosec * 1e-9 > oldest.nanoseconds * 1e-9
    assert len(robot.commands) <= most


def test_a_world_of_another_clock_that_does_not_say_its_pace_is_taken_to_wait(rig_of):
    rig = rig_of(lockstep=None)
    rig.begin(1)
    for step in range(3):
        rig.propose(1, step, seconds=1 + step)
    rig.until(lambda: rig.steps() == [(1, 0), (1, 1), (1, 2)])
    assert rig.status()[0] == "warn"
    assert "it is taken to wait (lockstep)" in rig.status()[1]


@pytest.mark.parametrize("age", [3600.0, -3600.0])
def test_a_world_of_this_clock_that_does_not_say_its_pace_is_checked(rig_of, age):
    rig = rig_of(lockstep=None)
    rig.begin(1)
    seconds = int(rig.node.get_clock().now().nanoseconds * 1e-9 - age)
    rig.propose(1, 0, seconds=seconds)
    assert not rig.commands
    assert "nothing is executed: signals of step 0: its observation is " in rig.problem()
