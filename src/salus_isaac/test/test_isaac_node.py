# SPDX-License-Identifier: Apache-2.0
import itertools
import math

import pytest
from fake_isaac import FakeIsaac
from rclpy.parameter import Parameter
from salus_msgs.msg import EpisodeStatus
from world_client import STAY, Client

from salus_isaac import world as isaac_world
from salus_isaac.world_node import IsaacWorldNode
from salus_ros import qos
from salus_ros.parameters import ParameterError

pytestmark = pytest.mark.ros

NUMBERS = itertools.count()


def make(scene, fake, **overrides):
    given = [Parameter(name, value=value) for name, value in overrides.items()]
    namespace = f"isaac_node{next(NUMBERS)}"
    return IsaacWorldNode(fake, namespace=namespace, parameter_overrides=given)


@pytest.fixture
def rig(ros, scene, interface):
    """Starts the node over a fake, with a client."""
    clients = []

    def start(**overrides):
        fake = FakeIsaac(scene)
        clients.append(Client(make(scene, fake, **overrides), interface))
        return clients[-1], fake

    yield start
    for client in clients:
        client.close()


def test_in_lockstep_a_tick_passes_only_when_the_command_of_its_step_has_come(rig):
    client, fake = rig()
    client.reset(seed=3)
    client.until(lambda: (1, 0) in client.steps())
    before = fake.ticks
    client.settle(0.5)
    assert fake.ticks == before
    client.command(7)
    client.settle()
    assert (fake.ticks, client.steps()) == (before, [(1, 0)])
    client.command(0)
    client.until(lambda: (1, 1) in client.steps())
    assert fake.ticks == before + 1


@pytest.mark.parametrize("count", [0, 6, 14, 65])
def test_a_command_of_another_length_is_refused_with_both_lengths(rig, capfd, count):
    client, fake = rig()
    client.reset(seed=3)
    client.until(lambda: (1, 0) in client.steps())
    before = fake.ticks
    client.command(0, [0.01] * count)
    client.until(lambda: client.world._refused == 1)
    assert fake.ticks == before
    assert f"refused: the action has {count} numbers, 7 are declared" in capfd.readouterr().err


def test_a_missing_command_holds_the_pose_and_is_counted(rig):
    client, _ = rig(command_timeout=0.3)
    client.reset(seed=3)
    states = client.got["world_state"]
    client.until(lambda: len(states) >= 3)
    assert [state.commands_missed for state in states[:3]] == [0, 1, 2]
    one, other = (state.tool_pose.position for state in states[:3:2])
    assert math.dist((one.x, one.y, one.z), (other.x, other.y, other.z)) < 2e-3


def test_in_real_time_ticks_pass_by_the_wall_clock(rig):
    client, fake = rig(lockstep=False)
    client.reset(seed=3)
    before = fake.ticks
    client.until(lambda: fake.ticks >= before + 5)


def test_an_ended_episode_stands_still_until_the_next_reset(rig):
    client, fake = rig()
    client.reset(seed=3)
    client.until(lambda: (1, 0) in client.steps())
    status = client.node.create_publisher(EpisodeStatus, "episode", qos.LATCHED)
    client.until(lambda: status.get_subscription_count() == 1)
    status.publish(EpisodeStatus(episode=1, state=EpisodeStatus.STATE_SUCCEEDED))
    client.settle()
    before = fake.ticks
    client.command(0)
    client.settle()
    assert fake.ticks == before
    assert client.reset(seed=4).success
    client.until(lambda: (2, 0) in client.steps())


def test_a_closed_window_ends_the_node(rig):
    client, fake = rig()
    fake.closed = True
    client.until(client.world.stopped.done)
    assert client.world.exit_code == 0


def test_a_simulator_that_falls_silent_ends_the_node_with_code_1(rig, monkeypatch, capfd):
    client, fake = rig()
    client.reset(seed=3)
    client.until(lambda: (1, 0) in client.steps())
    monkeypatch.setattr(isaac_world, "_FRAME_TIMEOUT", 0.3)
    fake.silent = {"isaac/front/image_raw"}
    client.command(0, STAY)
    client.until(client.world.stopped.done)
    assert client.world.exit_code == 1
    assert "front/image_raw" in capfd.readouterr().err


def test_a_simulator_that_does_not_start_keeps_the_node_from_starting(ros, scene, monkeypatch):
    monkeypatch.setattr(isaac_world, "_START_TICKS", 2)
    monkeypatch.setattr(isaac_world, "_START_TIMEOUT", 0.2)
    fake = FakeIsaac(scene)
    fake.silent = {"isaac/joint_states"}
    with pytest.raises(ParameterError, match="joint_states"):
        make(scene, fake)


def test_two_instances_in_two_namespaces_do_not_hear_each_other(rig):
    (first, one), (second, other) = rig(), rig()
    first.reset(seed=3)
    second.reset(seed=4)
    first.until(lambda: (1, 0) in first.steps())
    ticks = other.ticks
    first.command(0)
    first.until(lambda: (1, 1) in first.steps())
    assert other.ticks == ticks
    assert one.ticks > 0
    assert (1, 1) not in second.steps()
