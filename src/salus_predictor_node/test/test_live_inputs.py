# SPDX-License-Identifier: Apache-2.0
"""Robots whose topics come late, apart, fast or offset, or start anew: the node copes or says."""

import time
from copy import deepcopy

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped
from rclpy.duration import Duration
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rig import Rig
from salus_msgs.msg import FailureForecast, SignalInfo
from sensor_msgs.msg import JointState
from test_forecasts import numbers, play, signal_info

from salus_core.predictors.checkpoint import load_checkpoint

pytestmark = pytest.mark.ros

OK, WARMING_UP = FailureForecast.STATUS_OK, FailureForecast.STATUS_WARMING_UP
INVALID, STALE = FailureForecast.STATUS_INVALID_INPUT, FailureForecast.STATUS_STALE_INPUT


@pytest.fixture(scope="module")
def folder(checkpoint):
    return checkpoint()


@pytest.fixture
def make_rig(ros, folder):
    rigs = []

    def make(**parameters):
        given = {"checkpoint": str(folder), "info_wait": 0.0, "stale_after": 0.0, **parameters}
        rigs.append(Rig(**given))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


class Changed:
    """A publisher whose messages are changed on their way."""

    def __init__(self, publisher, change):
        self._publisher, self._change = publisher, change

    def publish(self, message):
        for changed in self._change(message):
            self._publisher.publish(changed)


def require_equal(rig, data, folder, rows):
    offline = load_checkpoint(folder)[0].scores(data)
    np.testing.assert_allclose(numbers(rig.forecasts), offline[rows], rtol=0, atol=1e-6)


def diagnostics(rig):
    return {entry.key: entry.value for entry in rig.predictor.diagnostics.status().values}


def test_best_effort_publishers_of_the_body_are_heard(make_rig, data, folder):
    rig = make_rig(body_reliability="best_effort")
    best_effort = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
    rig.joints = rig.node.create_publisher(JointState, "joint_states", best_effort)
    rig.pose = rig.node.create_publisher(PoseStamped, "tool_pose", best_effort)
    rig.until(lambda: rig.joints.get_subscription_count() and rig.pose.get_subscription_count())
    play(rig, data, range(5))
    require_equal(rig, data, folder, range(5))


def test_arm_and_gripper_in_separate_messages_are_merged(make_rig, data, folder):
    def split(message):
        for chosen in (slice(0, 2), slice(2, None)):
            yield JointState(
                header=message.header,
                name=message.name[chosen],
                position=message.position[chosen],
                velocity=message.velocity[chosen],
            )

    rig = make_rig()
    rig.joints = Changed(rig.joints, split)
    play(rig, data, range(5))
    require_equal(rig, data, folder, range(5))


def test_joints_at_1_khz_are_found_after_a_policy_of_400_ms(make_rig, data):
    """400 joint states come between an observation and its signals."""
    rig = make_rig()
    sent = []

    def then_more(message):
        sent.append(message)
        yield message
        for count in range(1, 401):
            stamp = message.header.stamp
            later = JointState(name=message.name, position=message.position)
            later.header.stamp = Time(sec=stamp.sec, nanosec=count * 1_000_000)
            yield later
            sent.append(later)
            if count % 50 == 0:  # a subscription keeps 100
                rig.until(lambda: rig.predictor._sync.counts["joint_states"].came >= len(sent))

    rig.joints = Changed(rig.joints, then_more)
    play(rig, data, range(4))
    assert [forecast.status for forecast in rig.forecasts] == [WARMING_UP] * 4


def test_an_offset_is_counted_and_said_and_matched_within_the_tolerance(make_rig, data, folder):
    def later(message):
        changed = deepcopy(message)  # the rig gives all messages of a step one header
        changed.header.stamp.nanosec = 2_000_000
        yield changed

    rig = make_rig()
    plain = rig.joints
    rig.joints = Changed(plain, later)
    play(rig, data, range(3))
    assert [forecast.status for forecast in rig.forecasts] == [INVALID] * 3
    said = diagnostics(rig)["missing joint_states"]
    assert said.startswith("3 of 3: its nearest stamp is 2 ms after")
    rig.close()

    rig = make_rig(stamp_tolerance=0.005)
    rig.joints = Changed(rig.joints, later)
    play(rig, data, range(3))
    require_equal(rig, data, folder, range(3))


def test_stamps_and_numbers_that_begin_again_give_forecasts_of_their_own(make_rig, data, folder):
    """The second episode's numbers and stamps are those of the first; its body is its own."""
    rig = make_rig()
    first, second = (list(range(data.rows(e).start, data.rows(e).start + 12)) for e in (0, 1))
    play(rig, data, first, episode=1)
    play(rig, data, second, episode=1)
    assert [forecast.step for forecast in rig.forecasts] == [*range(12), *range(12)]
    require_equal(rig, data, folder, [*first, *second])


def test_a_body_of_the_last_episode_never_serves_the_next(make_rig, data):
    rig = make_rig(input_wait=0.3)
    play(rig, data, range(3), episode=1)
    rig.send_step(data, 0, episode=1, body=False)  # the same stamp as step 0 before
    rig.until(lambda: len(rig.forecasts) == 4)
    assert rig.forecasts[3].status == INVALID


def test_a_body_that_never_comes_is_waited_for_so_long_and_said(make_rig, data):
    rig = make_rig(input_wait=0.3)
    begin = time.monotonic()
    rig.send_step(data, 0, body=False)
    rig.until(lambda: rig.forecasts)
    assert time.monotonic() - begin >= 0.3
    assert rig.forecasts[0].status == INVALID
    assert diagnostics(rig)["missing tool_pose"] == "1 of 1: nothing came"


@pytest.mark.parametrize(("field", "size"), [("action", 6), ("action", 14), ("embedding", 3)])
def test_a_wrong_length_is_refused_with_both_lengths(make_rig, data, folder, capfd, field, size):
    rig = make_rig()
    info = SignalInfo(
        policy="made up",
        policy_hash="00",
        schema_hash="made up",
        embedding_size=16,
        members=2,
        control_period=1 / 30,
    )
    rig.signal_info.publish(info)
    rig.until(lambda: rig.predictor._info is not None)

    def wrong(message):
        if message.step == 1:
            setattr(message, field, [0.0] * size)
        yield message

    rig.signals = Changed(rig.signals, wrong)
    play(rig, data, range(3))
    assert [f.status for f in rig.forecasts] == [WARMING_UP, INVALID, WARMING_UP]
    expected = {"action": 7, "embedding": 16}[field]
    said = f"step 1: {field} has {size} numbers, but signal_info says {expected}"
    assert said in capfd.readouterr().err


@pytest.mark.parametrize(
    ("late", "fresh", "said"),
    [((6.4, 6.3), (0.1, 0.0), "its observation is 6.4"), ((-6.4, -6.5), (), "in the future")],
)
def test_signals_that_come_late_get_no_numbers_but_are_remembered(
    make_rig, data, folder, capfd, late, fresh, said
):
    rig = make_rig(lockstep=False)
    rig.signal_info.publish(signal_info())
    rig.until(lambda: rig.predictor._info is not None)
    ages = iter([*late, *fresh])

    def restamp(message):
        stamp = rig.node.get_clock().now() - Duration(seconds=next(ages))
        message.header.stamp = stamp.to_msg()  # the rig gives all messages of a step one header
        yield message

    rig.joints = Changed(rig.joints, restamp)
    play(rig, data, range(len(late + fresh)))
    statuses = [forecast.status for forecast in rig.forecasts]
    assert statuses == [STALE] * len(late) + [WARMING_UP] * len(fresh)
    first = rig.forecasts[0]
    assert (len(first.probabilities), first.risk, first.alarm) == (0, 0.0, False)
    assert said in capfd.readouterr().err
    offline = load_checkpoint(folder)[0].scores(data)[len(late) : len(late + fresh)]
    np.testing.assert_allclose(numbers(rig.forecasts[len(late) :]), offline, rtol=0, atol=1e-6)


def test_stamps_of_another_clock_are_told_and_forecast(make_rig, data):
    rig = make_rig(lockstep=False)
    rig.signal_info.publish(signal_info())
    rig.until(lambda: rig.predictor._info is not None)
    play(rig, data, range(2))
    assert [forecast.status for forecast in rig.forecasts] == [WARMING_UP] * 2
    assert "another clock" in rig.predictor.diagnostics.status().message
