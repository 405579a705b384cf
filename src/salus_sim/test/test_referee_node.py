# SPDX-License-Identifier: Apache-2.0
import itertools
import time

import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Pose
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from salus_msgs.msg import EpisodeSetup, EpisodeStatus, FailureEvent, Fault, WorldState
from std_msgs.msg import Header

from salus_ros import qos
from salus_sim.nodes.referee_node import RefereeNode

pytestmark = pytest.mark.ros

NUMBERS = itertools.count()


class Rig:
    """A referee with a world played by the test."""

    def __init__(self):
        namespace = f"referee{next(NUMBERS)}"  # out of reach of what an earlier test has left
        self.referee = RefereeNode(namespace=namespace)
        self.node = Node("rig", namespace=namespace)
        self.statuses, self.events = [], []
        self.node.create_subscription(
            EpisodeStatus, "episode", self.statuses.append, qos.LATCHED
        )  # fmt: skip
        self.node.create_subscription(
            FailureEvent, "failure_event", self.events.append, qos.RELIABLE
        )  # fmt: skip
        self.setups = self.node.create_publisher(EpisodeSetup, "episode_setup", qos.LATCHED)
        self.states = self.node.create_publisher(WorldState, "world_state", qos.RELIABLE)
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.referee)
        self.executor.add_node(self.node)
        self.until(
            lambda: (
                self.states.get_subscription_count()
                and self.setups.get_subscription_count()
                and self.node.count_publishers("episode")
            )
        )

    def until(self, condition, seconds=5.0):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"not within {seconds} s"
            self.executor.spin_once(timeout_sec=0.02)

    def settle(self):
        end = time.monotonic() + 0.2
        while time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.02)

    def setup(self, episode, max_steps=50):
        self.setups.publish(
            EpisodeSetup(
                header=Header(stamp=Time(sec=100 * episode)),
                episode=episode,
                seed=7,
                instruction="do it",
                target_object="red_cube",
                goal_radius=0.05,
                goal_pose=Pose(position=Point(x=0.5, y=0.2)),
                max_steps=max_steps,
            )
        )

    def state(self, episode, step, settle=True, **values):
        self.states.publish(
            WorldState(
                header=Header(stamp=Time(sec=100 * episode + step)),
                episode=episode,
                step=step,
                object_names=["red_cube"],
                object_poses=[Pose(position=Point(x=0.5, y=-0.1, z=0.02))],
                gripper_width=0.08,
                **{"gripper_command": 1.0, **values},
            )
        )
        if settle:
            self.settle()


@pytest.fixture
def rig(ros):
    rig = Rig()
    yield rig
    rig.executor.shutdown()


def test_a_collision_ends_the_episode_with_its_onset_and_faults(rig):
    rig.setup(1)
    rig.state(1, 0)
    fault = Fault(kind="arm_force", magnitude=30.0, unit="N", onset_step=1, duration_steps=6)
    rig.state(1, 1, contact_force=80.0, contact_body="obstacle", faults=[fault])
    rig.until(lambda: len(rig.events) == 1)
    running, failed = rig.statuses
    assert (running.state, running.episode, running.seed) == (EpisodeStatus.STATE_RUNNING, 1, 7)
    assert running.instruction == "do it"
    assert (failed.state, failed.failure) == (
        EpisodeStatus.STATE_FAILED,
        EpisodeStatus.FAILURE_COLLISION,
    )
    assert (failed.step, failed.onset_step, failed.onset_stamp.sec) == (1, 1, 101)
    assert failed.faults == [fault]
    event = rig.events[0]
    assert (event.header.stamp.sec, event.onset_step, event.detection_step) == (101, 1, 1)
    assert "obstacle with 80 N" in event.description


def test_a_drop_is_stamped_at_its_onset(rig):
    rig.setup(1)
    held = {"grasped_object": "red_cube", "gripper_command": 0.0}
    rig.state(1, 0)
    for step in range(1, 12):
        values = held if step < 5 else {"gripper_command": 0.0}
        height = 0.1 if 2 <= step < 6 else 0.02
        rig.states.publish(
            WorldState(
                header=Header(stamp=Time(sec=100 + step)),
                episode=1,
                step=step,
                object_names=["red_cube"],
                object_poses=[Pose(position=Point(x=0.5, y=-0.1, z=height))],
                gripper_width=0.04,
                **values,
            )
        )
        rig.settle()
    event = rig.events[0]
    assert event.failure == EpisodeStatus.FAILURE_DROP
    assert (event.onset_step, event.header.stamp.sec) == (5, 105)
    assert event.detection_step > 5


def test_states_that_come_before_their_setup_are_judged_too(rig):
    rig.state(1, 0)
    rig.state(1, 1, contact_force=80.0, contact_body="table")
    assert not rig.statuses
    rig.setup(1)
    rig.until(lambda: len(rig.statuses) == 2 or len(rig.events) == 1)
    assert rig.events[0].failure == EpisodeStatus.FAILURE_COLLISION


def test_a_reset_of_a_running_episode_aborts_it(rig):
    rig.setup(1)
    rig.state(1, 0)
    rig.setup(2)
    rig.settle()
    states = [(status.episode, status.state) for status in rig.statuses]
    assert states[0] == (1, EpisodeStatus.STATE_RUNNING)
    assert states[-1] == (2, EpisodeStatus.STATE_RUNNING)


def test_states_that_came_while_the_process_had_to_wait_are_judged(rig):
    rig.setup(1, max_steps=60)
    rig.until(lambda: rig.statuses)
    for step in range(61):
        rig.state(1, step, settle=False)  # nobody spins
    rig.until(lambda: rig.events)
    assert (rig.events[0].failure, rig.events[0].onset_step) == (EpisodeStatus.FAILURE_TIMEOUT, 60)
    assert rig.referee._diagnostics.drops == 0


def test_a_timeout_comes_at_the_last_step(rig):
    rig.setup(1, max_steps=3)
    for step in range(4):
        rig.state(1, step)
    assert rig.statuses[-1].failure == EpisodeStatus.FAILURE_TIMEOUT
    assert rig.statuses[-1].onset_step == 3


def test_a_lost_state_is_named(rig, capfd):
    rig.setup(1)
    rig.state(1, 0)
    rig.state(1, 2)
    assert "expected the state of step 1, got 2" in capfd.readouterr().err
