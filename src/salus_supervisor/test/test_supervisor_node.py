import math
import time

import pytest
from builtin_interfaces.msg import Time
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from salus_msgs.msg import ActionCommand, EpisodeStatus, Intervention, VlaSignals
from std_msgs.msg import Header

from salus_ros.qos import LATCHED, RELIABLE
from salus_supervisor.supervisor_node import SupervisorNode

pytestmark = pytest.mark.ros

ACTION = [0.01, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]


class Rig:
    """A running supervisor with everything around it played by the test."""

    def __init__(self, **overrides):
        given = [Parameter(name, value=value) for name, value in overrides.items()]
        self.supervisor = SupervisorNode(parameter_overrides=given)
        assert self.supervisor.start()
        self.node = Node("rig")
        self.commands, self.interventions = [], []
        self.node.create_subscription(ActionCommand, "command", self.commands.append, RELIABLE)
        self.node.create_subscription(
            Intervention, "intervention", self.interventions.append, RELIABLE
        )
        self.signals = self.node.create_publisher(VlaSignals, "vla_signals", RELIABLE)
        self.episode = self.node.create_publisher(EpisodeStatus, "episode", LATCHED)
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.supervisor)
        self.executor.add_node(self.node)
        self.until(
            lambda: self.signals.get_subscription_count() and self.node.count_publishers("command")
        )

    def until(self, condition, seconds=5.0):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"not within {seconds} s"
            self.executor.spin_once(timeout_sec=0.02)

    def settle(self):
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.02)

    def begin(self, episode, state=EpisodeStatus.STATE_RUNNING):
        self.episode.publish(EpisodeStatus(episode=episode, state=state))
        self.until(
            lambda: (
                self.supervisor._status is not None
                and (self.supervisor._status.episode, self.supervisor._status.state)
                == (episode, state)
            )
        )

    def propose(self, episode, step, action=ACTION):
        header = Header(stamp=Time(sec=1 + step), frame_id="base")
        self.signals.publish(VlaSignals(header=header, episode=episode, step=step, action=action))

    def steps(self):
        return [(command.episode, command.step) for command in self.commands]


@pytest.fixture
def rig(ros):
    rig = Rig()
    yield rig
    rig.executor.shutdown()


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
    rig.until(lambda: rig.supervisor._status.state == EpisodeStatus.STATE_SUCCEEDED)
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


def test_without_a_referee_the_signals_tell_the_episode(ros):
    rig = Rig(episode_source="signals")
    for episode, step in ((1, 4), (1, 5), (2, 0), (1, 6)):
        rig.propose(episode, step)
    rig.until(lambda: len(rig.commands) == 3)
    rig.settle()
    assert rig.steps() == [(1, 4), (1, 5), (2, 0)]
    rig.executor.shutdown()


def test_an_inactive_supervisor_sends_nothing(rig):
    rig.begin(1)
    rig.supervisor.trigger_deactivate()
    rig.propose(1, 0)
    rig.settle()
    assert not rig.commands
