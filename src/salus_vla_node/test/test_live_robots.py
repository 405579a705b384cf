# SPDX-License-Identifier: Apache-2.0
"""Robots whose topics come late, apart, fast or offset: the node copes, or says what is missing."""

import re

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped
from robot import ARM, FINGERS, REST, count_taken
from sensor_msgs.msg import JointState

from salus_ros.images import to_message

pytestmark = pytest.mark.ros

MS = 1_000_000
BEGIN = 1000 * 1_000_000_000


def stamp_of(nanoseconds):
    return Time(sec=nanoseconds // 1_000_000_000, nanosec=nanoseconds % 1_000_000_000)


def series(rate, delays=(0,), frames=12, offset=0):
    """Stamps and times of arrival of one topic [ns]; `delays` [ms] and `offset` [ms] of stamps."""
    stamps = [BEGIN + offset * MS + round(n * 1e9 / rate) for n in range(frames)]
    return [(stamp, stamp + delays[n % len(delays)] * MS) for n, stamp in enumerate(stamps)]


def picture(number, stamp, frame="camera"):
    return to_message(np.full((32, 32, 3), number, np.uint8), stamp_of(stamp), frame)


def joints(stamp, names=ARM + FINGERS, **fields):
    first = (stamp - BEGIN) / 1e9  # tells when it was
    known = dict(zip(ARM + FINGERS, [first, *REST[1:], 0.01, 0.02], strict=True))
    fields = {"position": [known.get(name, np.nan) for name in names], **fields}
    message = JointState(name=names, **fields)
    message.header.stamp = stamp_of(stamp)
    return message


def pose(stamp):
    message = PoseStamped()
    message.header.stamp = stamp_of(stamp)
    return message


class Cell:
    """A robot cell on the node's topics: each message is taken before the next one is sent."""

    def __init__(self, node, robot, spin_until):
        self.node, self.robot, self._until = node, robot, spin_until
        self._taken = count_taken(node)
        self.publishers = {
            "front": robot.image_publisher,
            "wrist": robot.wrist_publisher,
            "joint_states": robot.joint_publisher,
            "tool_pose": robot.pose_publisher,
        }
        spin_until(lambda: all(p.get_subscription_count() for p in self.publishers.values()))

    def send(self, topic, message, idle=True):
        """`idle`: the policy has taken all that waited for it."""
        publisher = self.publishers[topic]
        expected = self._taken[publisher.topic_name] + 1
        publisher.publish(message)
        self._until(
            lambda: (
                self._taken[publisher.topic_name] == expected
                and not (idle and self.node._inference._jobs)
            )
        )

    def play(self, front, wrist, body, make_joints=lambda stamp: [joints(stamp)], idle=True):
        """Send in the order of arrival, from series; pictures show their numbers."""
        events = [(at, "front", picture(n, s)) for n, (s, at) in enumerate(front)]
        events += [(at, "wrist", picture(n, s)) for n, (s, at) in enumerate(wrist)]
        for stamp, at in body:
            events += [(at, "joint_states", message) for message in make_joints(stamp)]
            events.append((at, "tool_pose", pose(stamp)))
        for _, topic, message in sorted(events, key=lambda event: event[0]):
            self.send(topic, message, idle)

    def seen(self, count):
        """(number, pixel of front, pixel of wrist, time of the joints [ms]) of each answer."""
        self._until(lambda: len(self.robot.signals) >= count)
        return [
            (m.step, round(m.action[0]), round(m.action[1]), 1e3 * m.action[2])
            for m in self.robot.signals
        ]

    def figures(self):
        status = self.node.diagnostics.status()
        return status.message, {item.key: item.value for item in status.values}


@pytest.fixture
def make_cell(make_node, spin_until):
    def make(policy="SeeingBackend", **parameters):
        given = {"step_source": "images", "instruction": "pick it", "input_wait": 1.0}
        node, robot = make_node(backend=f"robot_policies:{policy}", **{**given, **parameters})
        return Cell(node, robot, spin_until)

    return make


CAMERAS = {
    "frames 45 to 80 ms late": (30, (45, 80, 62, 50), (80, 47, 55, 71)),
    "the other camera after the leader": (30, (5,), (25,)),
    "15 Hz, leader first": (15, (2,), (8,)),
    "15 Hz, leader last": (15, (8,), (2,)),
    "30 Hz, leader first": (30, (2,), (8,)),
    "30 Hz, leader last": (30, (8,), (2,)),
    "60 Hz, leader first": (60, (2,), (8,)),
    "60 Hz, leader last": (60, (8,), (2,)),
}


@pytest.mark.parametrize("case", CAMERAS)
def test_each_image_is_acted_on_with_the_other_cameras_image_of_its_stamp(case, make_cell):
    rate, front, wrist = CAMERAS[case]
    cell = make_cell()
    body = series(500, frames=round(500 * (12 / rate + 0.1)))
    cell.play(series(rate, front), series(rate, wrist), body)
    for number, (step, left, right, at) in enumerate(cell.seen(12)):
        assert (step, left, right) == (number, number, number)
        assert at == pytest.approx(1e3 * number / rate, abs=1.0)
    assert cell.node.diagnostics.drops == 0


def test_joints_at_1_khz_and_a_policy_of_400_ms_give_the_newest_observation(make_cell):
    cell = make_cell("SlowSeeingBackend", stamp_tolerance=0.002)
    cell.play(series(30, (20,)), series(30, (20,)), series(1000, frames=420), idle=False)
    cell._until(lambda: cell.robot.signals and cell.robot.signals[-1].step == 11)
    seen = cell.seen(2)
    assert len(seen) + cell.node.diagnostics.drops == 12
    assert cell.node.diagnostics.drops > 2
    for number, left, right, at in seen:
        assert (left, right) == (number, number)
        assert at == pytest.approx(1e3 * number / 30, abs=1.0)


def test_cameras_apart_give_the_nearest_image_within_the_tolerance(make_cell):
    cell = make_cell(stamp_tolerance=0.02)
    cell.play(
        series(30, frames=8), series(30, frames=9, offset=-18), series(500, frames=200, offset=-20)
    )
    # The frame 15.3 ms after is nearer than the one 18 ms before.
    assert [(left, right) for _, left, right, _ in cell.seen(8)] == [(n, n + 1) for n in range(8)]


def arm_and_gripper(stamp):
    return [joints(stamp, ARM), joints(stamp + MS, FINGERS)]


def no_number(stamp):
    names = [*ARM, *FINGERS, "lamp"]
    return [joints(stamp, names, velocity=[0.0] * 3 + [np.nan] * 7)]


def all_velocities(stamp):
    names = ["lamp", *FINGERS, *ARM]
    return [joints(stamp, names, velocity=[np.nan] + [0.0] * 9)]


@pytest.mark.parametrize(
    ("make_joints", "velocities"),
    [(arm_and_gripper, False), (no_number, False), (all_velocities, True)],
)
def test_joint_states_of_any_kind_are_read(make_joints, velocities, make_cell):
    cell = make_cell()
    cell.play(series(30, (5,), 3), series(30, (5,), 3), series(100, frames=12), make_joints)
    cell.seen(3)
    for message in cell.robot.signals:
        assert message.action[3] == pytest.approx(0.03)
        assert message.action[4] == velocities


@pytest.mark.parametrize(
    ("offset", "said"),
    [
        (-10, r"10 ms before the observation's, and the tolerance is 5 ms"),
        (10, r"10 ms after the observation's, and the tolerance is 5 ms"),
        (-900_000, r"(899|900)\.\d+ s before the observation's"),
    ],
)
def test_an_offset_is_counted_and_said(offset, said, make_cell):
    cell = make_cell(stamp_tolerance=0.005, input_wait=0.2)
    body = [(s, s - offset * MS * (abs(offset) > 100)) for s, _ in series(30, (0,), 4, offset)]
    cell.play(series(30, frames=4), series(30, frames=4), body)
    cell._until(lambda: cell.figures()[1].get("missing joint_states", "").startswith("4 of 4"))
    message, figures = cell.figures()
    assert cell.robot.signals == []
    assert re.match(f"no action: joint_states: its nearest stamp is {said}", message)
    assert re.match(f"4 of 4: its nearest stamp is {said}", figures["missing joint_states"])
    assert re.match(f"4 of 4: its nearest stamp is {said}", figures["missing tool_pose"])


def test_repeated_and_overtaken_images_are_dropped_and_stamps_that_begin_anew_are_an_episode(
    make_cell,
):
    cell = make_cell(frozen_after=0.5)
    twice = [(s, s) for s, _ in series(30, frames=4) for _ in range(2)]
    twice.append(twice[5])
    cell.play(twice, series(30, frames=4), series(100, frames=16))
    assert [step for step, *_ in cell.seen(4)] == [0, 1, 2, 3]
    assert cell.node._observer.figures["repeated images"] == "5"
    cell.play(series(30, frames=4), series(30, frames=4), series(100, frames=16))
    cell.seen(8)
    numbers = [(m.episode, m.step) for m in cell.robot.signals[4:]]
    assert [step for _, step in numbers] == [0, 1, 2, 3]
    assert {episode for episode, _ in numbers} == {2}


def test_a_leading_camera_that_stops_is_a_problem_until_it_is_back(make_cell):
    cell = make_cell(stale_after=0.2)
    problem = "no new image on camera/front/image_raw for 0."
    cell._until(lambda: problem in cell.figures()[0])
    cell.play(series(30, frames=1), series(30, frames=1), series(100, frames=2))
    cell._until(lambda: problem not in cell.figures()[0])
    cell._until(lambda: problem in cell.figures()[0])


@pytest.mark.parametrize("frozen", ["front", "wrist"])
def test_nothing_is_done_on_pictures_that_stay_the_same(frozen, make_cell):
    cell = make_cell(frozen_after=0.1)
    for number in range(10):
        stamp = BEGIN + number * 33 * MS
        cell.send("joint_states", joints(stamp))
        cell.send("tool_pose", pose(stamp))
        for camera in ("wrist", "front"):
            still = camera == frozen and number < 8
            cell.send(camera, picture(50 if still else number, stamp))
        if number == 7:
            said, figures = cell.figures()
            assert f"camera/{frozen}/image_raw: the same picture for 0.23 s" in said
            assert "frozen_after" in said
            assert figures["invalid inputs"] == "4"
    assert [step for step, *_ in cell.seen(6)] == [0, 1, 2, 3, 8, 9]
    assert "picture" not in cell.figures()[0]


@pytest.mark.parametrize(("given", "answers"), [({}, 91), ({"frozen_after": 2.5}, 76)])
def test_frozen_pictures_of_a_world_are_refused_only_if_asked_for(
    given, answers, make_node, spin_until
):
    """Pictures of a simulator have no noise, and a robot that is held stands still."""
    node, robot = make_node(command_wait=0.0, **given)
    spin_until(robot.is_connected)
    robot.episode()
    for step in range(91):  # 33 ms each
        robot.observe(step, image=np.zeros((32, 32, 3), np.uint8))
        spin_until(lambda: len(robot.signals) + node.diagnostics.drops > step)  # noqa: B023
    assert len(robot.signals) == answers
    assert ("the same picture for 3.00 s" in node.diagnostics.status().message) == bool(given)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda j, p: j.position.__setitem__(2, 50.0), "position of panda_joint3 is 50, more than"),
        (lambda j, p: j.position.__setitem__(3, -3.6), "panda_joint4 is -3.6"),
        (lambda j, p: setattr(p.pose.position, "z", 1e6), "tool_pose: the tool is 1e+06 m"),
        (lambda j, p: j.position.__setitem__(8, np.inf), "position of panda_finger_joint2 is inf"),
    ],
)
def test_a_body_beyond_its_bounds_is_refused_and_said(change, said, make_cell):
    cell = make_cell(joint_margin=0.5, stamp_tolerance=0.01)
    for number in range(3):
        stamp = BEGIN + number * 33 * MS
        body = joints(stamp), pose(stamp)
        if number == 1:
            change(*body)
        for topic, message in zip(("joint_states", "tool_pose"), body, strict=True):
            cell.send(topic, message)
        for camera in ("wrist", "front"):
            cell.send(camera, picture(number, stamp))
        cell._until(lambda: (said in cell.figures()[0]) == (number == 1))  # noqa: B023
    assert [step for step, *_ in cell.seen(2)] == [0, 2]


def test_one_stamp_of_the_future_costs_one_observation(make_cell):
    cell = make_cell()
    cell.play(series(30, frames=3), series(30, frames=3), series(100, frames=11))
    cell.send("front", picture(7, BEGIN + 10**13))
    cell._until(lambda: cell.node.diagnostics.drops == 1)
    later = [(s + 10**9, at + 10**9) for s, at in series(30, frames=5)]
    cell.play(later, later, [(s + 10**9, at + 10**9) for s, at in series(100, frames=20)])
    assert [left for _, left, _, _ in cell.seen(8)] == [0, 1, 2, 0, 1, 2, 3, 4]
