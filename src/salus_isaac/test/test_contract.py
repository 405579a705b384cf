# SPDX-License-Identifier: Apache-2.0
"""Both worlds, live over DDS, against the one interface description."""

import itertools

import numpy as np
import pytest
from fake_isaac import FakeIsaac
from rclpy.qos import HistoryPolicy
from world_client import Client, message_class

from salus_isaac.interface import Endpoint, Profile
from salus_isaac.world_node import IsaacWorldNode
from salus_sim.nodes.world_messages import camera_info_message
from salus_sim.nodes.world_node import WorldNode

pytestmark = pytest.mark.ros

WORLDS = ("mujoco", "isaac")
OWN = ("/rosout", "/parameter_events", "/diagnostics")
NUMBERS = itertools.count()


def world_node(name, scene):
    namespace = f"{name}{next(NUMBERS)}"
    if name == "mujoco":
        return WorldNode(namespace=namespace)
    return IsaacWorldNode(FakeIsaac(scene), namespace=namespace)


@pytest.fixture(params=WORLDS)
def client(request, ros, scene, interface):
    client = Client(world_node(request.param, scene), interface)
    yield client
    client.close()


def profile_of(qos):
    assert qos.history in (HistoryPolicy.KEEP_LAST, HistoryPolicy.SYSTEM_DEFAULT)
    return Profile(qos.reliability.name.lower(), qos.durability.name.lower(), qos.depth)


def short(topic, namespace):
    return topic.removeprefix(f"{namespace}/")


def endpoints(entities, namespace, wanted):
    """What a node offers, as the interface writes it; frames and units are not in the graph."""
    found = {}
    for entity in entities:
        topic = short(entity.topic_name, namespace)
        if topic in OWN:
            continue
        expected = wanted.get(topic)
        kind = message_class(expected.type) if expected else None
        found[topic] = Endpoint(
            topic,
            expected.type if expected and entity.msg_type is kind else str(entity.msg_type),
            profile_of(entity.qos_profile),
        )
    return found


def bare(section):
    return {t: Endpoint(t, e.type, e.profile) for t, e in section.items()}


def test_the_world_has_just_the_topics_types_and_qualities_of_the_interface(client, interface):
    world, namespace = client.world, client.world.get_namespace()
    given = endpoints(world.publishers, namespace, interface.publishers)
    assert given == bare(interface.publishers)
    taken = endpoints(world.subscriptions, namespace, interface.subscriptions)
    assert taken == bare(interface.subscriptions)


def test_discovery_shows_the_same_types_and_qualities(client, interface):
    namespace = client.world.get_namespace()
    for topic, endpoint in interface.publishers.items():
        full = topic if topic.startswith("/") else f"{namespace}/{topic}"
        offers = client.node.get_publishers_info_by_topic(full)
        offers = [o for o in offers if o.node_namespace == namespace and o.node_name == "world"]
        assert len(offers) == 1, topic
        assert offers[0].topic_type == endpoint.type
        assert offers[0].qos_profile.reliability.name.lower() == endpoint.profile.reliability
        assert offers[0].qos_profile.durability.name.lower() == endpoint.profile.durability
    services = dict(client.node.get_service_names_and_types())
    for name, endpoint in interface.services.items():
        assert services[f"{namespace}/{name}"] == [endpoint.type]


def test_one_observation_has_one_stamp_and_the_interfaces_frames(client, interface):
    assert client.reset(seed=3, difficulty="easy").success
    client.complete(1)
    stamps = set()
    for topic, endpoint in interface.publishers.items():
        message = client.got[topic][0]
        if hasattr(message, "header"):
            assert message.header.frame_id == endpoint.frame, topic
        stamp = message.header.stamp if hasattr(message, "header") else message.clock
        stamps.add((stamp.sec, stamp.nanosec))
    assert len(stamps) == 1


def test_joints_have_the_interfaces_names_order_and_units(client, interface):
    client.reset(seed=3, difficulty="easy")
    client.complete(1)
    message = client.got["joint_states"][0]
    assert list(message.name) == interface.joint_names
    lengths = {len(message.position), len(message.velocity), len(message.effort)}
    assert lengths == {len(interface.joints)}
    for joint, value in zip(interface.joints, message.position, strict=True):
        limit = {"rad": np.pi, "m": 0.05}[joint.position]
        assert abs(value) <= limit, joint.name


def test_images_and_intrinsics_are_the_interfaces(client, interface, scene):
    client.reset(seed=3, difficulty="easy")
    client.complete(1)
    for camera in interface.cameras:
        image = client.got[f"camera/{camera}/image_raw"][0]
        size = (image.encoding, image.width, image.height, len(image.data))
        pixels = interface.width * interface.height
        assert size == (interface.encoding, interface.width, interface.height, 3 * pixels)
        info = client.got[f"camera/{camera}/camera_info"][0]
        assert info.k.tolist() == pytest.approx(camera_info_message(scene, camera).k.tolist())
        assert (info.width, info.height) == (interface.width, interface.height)


def test_poses_are_metres_in_the_base_frame_with_quaternions_xyzw(client, scene):
    client.reset(seed=3, difficulty="easy")
    client.complete(1)
    state, tool = client.got["world_state"][0], client.got["tool_pose"][0]
    position = tool.pose.position
    inside = zip(
        scene.control["workspace_low"],
        (position.x, position.y, position.z),
        scene.control["workspace_high"],
        strict=True,
    )
    assert all(low <= value <= high + 0.1 for low, value, high in inside)
    for pose in [tool.pose, *state.object_poses]:
        turn = pose.orientation
        assert np.linalg.norm([turn.x, turn.y, turn.z, turn.w]) == pytest.approx(1.0, abs=1e-5)
    upright = [p.orientation for p in state.object_poses]
    assert all(abs(q.w) > 0.9 and abs(q.x) < 0.05 for q in upright)
    down = tool.pose.orientation  # the tool points down: half a turn about a horizontal axis
    assert abs(down.w) < 0.3
    assert down.x**2 + down.y**2 > 0.9


def test_steps_are_one_control_period_apart(client, interface):
    client.reset(seed=3, difficulty="easy")
    for step in range(3):
        client.until(lambda step=step: (1, step) in client.steps())
        client.command(step)
    client.until(lambda: (1, 3) in client.steps())
    times = [s.header.stamp.sec + s.header.stamp.nanosec / 1e9 for s in client.got["step"]]
    assert np.diff(times) == pytest.approx(1.0 / interface.rate, abs=1e-6)


def test_both_worlds_start_the_same_episode_of_a_seed(ros, scene, interface):
    setups, states = [], []
    for name in WORLDS:
        client = Client(world_node(name, scene), interface)
        assert client.reset(seed=11, difficulty="standard", fault_profile="light").success
        client.complete(1)
        client.until(lambda client=client: client.got["episode_setup"])
        setups.append(client.got["episode_setup"][0])
        states.append(client.got["world_state"][0])
        client.close()
    for setup in setups:
        setup.header.stamp.sec = setup.header.stamp.nanosec = 0
    assert setups[0] == setups[1]
    assert states[0].object_names == states[1].object_names
    for one, other in zip(*(state.object_poses for state in states), strict=True):
        assert one.position.x == pytest.approx(other.position.x, abs=2e-3)
        assert one.position.z == pytest.approx(other.position.z, abs=2e-3)
