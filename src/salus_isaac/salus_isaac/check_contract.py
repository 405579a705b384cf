# SPDX-License-Identifier: Apache-2.0
"""The static check of a graph against the interface, and of the interface against the scene."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from salus_isaac.check_graph import node_values, sources
from salus_isaac.graph import ROBOT_PATH, Graph, camera_path, qos_json
from salus_isaac.interface import Interface
from salus_isaac.node_table import NodeTable, Problem, split_attribute, suggestion
from salus_sim.scene import Scene

_RENDER_PRODUCT = "isaacsim.core.nodes.IsaacCreateRenderProduct"
_ROBOT_PRIMS = {
    "isaacsim.sensors.physics.IsaacReadJointState": "prim",
    "isaacsim.core.nodes.IsaacArticulationController": "targetPrim",
}
_JOINT_ARRAYS = (
    "jointNames",
    "jointPositions",
    "jointVelocities",
    "jointEfforts",
    "jointDofTypes",
    "stageMetersPerUnit",
)


def check_contract(
    graph: Graph, interface: Interface, table: NodeTable, namespace: str = "/salus"
) -> list[Problem]:
    """Where what the graph publishes differs from the interface's section `simulator`."""
    return [
        *_topics(graph, interface, table, namespace),
        *_cameras(graph, interface, table),
        *_joints(graph, interface),
    ]


def check_interface(interface: Interface, scene: Scene) -> list[Problem]:
    """Where the interface's joints, cameras, images and rate differ from the scene's numbers."""
    arm, cameras = scene.arm, scene.cameras
    named = [name for name, value in cameras.items() if isinstance(value, dict)]
    pairs = [
        (
            "joint-order",
            "joints",
            interface.joint_names,
            [*arm["joint_names"], *arm["finger_names"]],
        ),
        ("cameras", "cameras", sorted(interface.cameras), sorted(named)),
        ("resolution", "image width", interface.width, cameras["width"]),
        ("resolution", "image height", interface.height, cameras["height"]),
        ("rate", "rate", interface.rate, scene.control["rate"]),
    ]
    return [
        Problem(code, f"interface {where}", f"{given} differs from the scene's {wanted}")
        for code, where, given, wanted in pairs
        if given != wanted
    ]


def _topics(
    graph: Graph, interface: Interface, table: NodeTable, namespace: str
) -> Iterator[Problem]:
    known, found = interface.simulator, Counter()
    for name, node_type in graph.nodes:
        if "topicName" not in table.attributes(node_type, "inputs"):
            continue
        given = node_values(graph, name)
        topic = given.get("topicName", "")
        found[topic] += 1
        if given.get("nodeNamespace", "") != namespace:
            text = (
                f"publishes in the namespace {given.get('nodeNamespace', '')!r}, not {namespace!r}"
            )
            yield Problem("namespace", name, text)
        if topic not in known:
            text = f"topic {topic!r} is not in the interface{suggestion(str(topic), known)}"
            yield Problem("topic", name, text)
            continue
        endpoint = known[topic]
        message = table.message_type(node_type, given)
        if message != endpoint.type:
            text = (
                f"publishes {message or 'no message'} on {topic}; the interface has {endpoint.type}"
            )
            yield Problem("message-type", name, text)
        wanted = qos_json(endpoint.profile)
        if _json(given.get("qosProfile")) != _json(wanted):
            text = f"quality of service of {topic} differs from the interface's {wanted}"
            yield Problem("qos", name, text)
        if given.get("queueSize", endpoint.profile.depth) != endpoint.profile.depth:
            text = f"queueSize of {topic} differs from the interface's {endpoint.profile.depth}"
            yield Problem("qos", name, text)
        if "frameId" in table.attributes(node_type, "inputs"):
            frame = given.get("frameId", "sim_camera")
            if frame != endpoint.frame:
                text = f"frame {frame!r} of {topic} differs from the interface's {endpoint.frame!r}"
                yield Problem("frame", name, text)
    for topic in known:
        if found[topic] != 1:
            text = f"{found[topic]} nodes publish this topic of the interface; one must"
            yield Problem("topic", topic, text)


def _json(text: Any) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return text


def _cameras(graph: Graph, interface: Interface, table: NodeTable) -> Iterator[Problem]:
    types = dict(graph.nodes)
    for name, node_type in types.items():
        if node_type == _RENDER_PRODUCT:
            given = node_values(graph, name)
            for side in ("width", "height"):
                if given.get(side) != getattr(interface, side):
                    text = f"{side} {given.get(side)} differs from {getattr(interface, side)} px"
                    yield Problem("resolution", name, text)
        if "renderProductPath" not in table.attributes(node_type, "inputs"):
            continue
        endpoint = interface.simulator.get(node_values(graph, name).get("topicName", ""))
        linked = sources(graph, name).get("renderProductPath", ())
        product = split_attribute(linked[0])[0] if linked else ""
        if endpoint is None or types.get(product) != _RENDER_PRODUCT:
            continue  # said of the topic, or of the missing input
        prim = node_values(graph, product).get("cameraPrim")
        if prim != [camera_path(endpoint.camera)]:
            text = f"shows {prim}; the topic's camera is {camera_path(endpoint.camera)}"
            yield Problem("camera", name, text)
        if f"{product}.outputs:execOut" not in sources(graph, name).get("execIn", ()):
            text = f"does not run after '{product}', whose render product it shows"
            yield Problem("execution-order", name, text)


def _joints(graph: Graph, interface: Interface) -> Iterator[Problem]:
    for name, node_type in graph.nodes:
        given = node_values(graph, name)
        attribute = _ROBOT_PRIMS.get(node_type, "")
        if attribute and attribute in given and given[attribute] != [ROBOT_PATH]:
            text = f"inputs:{attribute} is {given[attribute]}, not the robot {ROBOT_PATH}"
            yield Problem("robot", name, text)
        if "jointNames" in given and list(given["jointNames"]) != interface.joint_names:
            text = f"jointNames differ from the interface's order {interface.joint_names}"
            yield Problem("joint-order", name, text)
        if node_type == "isaacsim.ros2.bridge.ROS2PublishJointState":
            yield from _joint_arrays(graph, name)


def _joint_arrays(graph: Graph, name: str) -> Iterator[Problem]:
    linked = sources(graph, name)
    for attribute in _JOINT_ARRAYS:
        for origin in linked.get(attribute, ()):
            node, _, output = split_attribute(origin)
            if output != attribute:
                text = f"inputs:{attribute} is fed by {origin}"
                yield Problem("joint-arrays", name, text)
            if f"{node}.outputs:execOut" not in linked.get("execIn", ()):
                text = f"does not run after '{node}', which reads its {attribute}"
                yield Problem("execution-order", name, text)
