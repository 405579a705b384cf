# SPDX-License-Identifier: Apache-2.0
"""The OmniGraph of the bridge as data: nodes, values and connections, and nothing that runs.

Isaac Sim's own nodes publish the clock, the joints and the cameras on the topics that the interface
calls `simulator`; the bridge takes them from there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from salus_isaac.interface import Endpoint, Interface, Profile

GRAPH_PATH = "/World/SalusGraph"
ROBOT_PATH = "/World/Franka"
BRIDGE_EXTENSION = "isaacsim.ros2.bridge"

_QOS_NAMES = {"best_effort": "bestEffort", "transient_local": "transientLocal"}


@dataclass
class Graph:
    """An action graph.

    Attributes:
        path: of its prim.
        evaluator: 'execution' for an action graph.
        nodes: (name, type) in the order of creation.
        values: ('node.inputs:attribute', value); a target's value is a list of prim paths.
        connections: ('node.outputs:attribute', 'node.inputs:attribute').
    """

    path: str
    evaluator: str = "execution"
    nodes: list[tuple[str, str]] = field(default_factory=list)
    values: list[tuple[str, Any]] = field(default_factory=list)
    connections: list[tuple[str, str]] = field(default_factory=list)


def camera_path(camera: str) -> str:
    """Prim path of a camera: the wrist's rides on the hand."""
    if camera == "wrist":
        return f"{ROBOT_PATH}/panda_hand/wrist_camera"
    return f"/World/{camera}_camera"


def qos_json(profile: Profile) -> str:
    """A quality of service as Isaac Sim's `qosProfile` input takes it.

    All eight keys must be there, and durations must be written as floating-point numbers; 0 is
    no limit.
    """
    return json.dumps(
        {
            "history": "keepLast",
            "depth": profile.depth,
            "reliability": _QOS_NAMES.get(profile.reliability, profile.reliability),
            "durability": _QOS_NAMES.get(profile.durability, profile.durability),
            "deadline": 0.0,
            "lifespan": 0.0,
            "liveliness": "systemDefault",
            "leaseDuration": 0.0,
        }
    )


def build_graph(interface: Interface, namespace: str = "/salus") -> Graph:
    """The graph that publishes the simulator's side of an interface.

    Args:
        interface: gives topics, quality of service, frames, cameras and resolution.
        namespace: of the world, as in '/salus'.
    """
    graph = Graph(GRAPH_PATH)
    graph.nodes += [
        ("Tick", "omni.graph.action.OnPlaybackTick"),
        ("Context", "isaacsim.ros2.bridge.ROS2Context"),
        ("SimTime", "isaacsim.core.nodes.IsaacReadSimulationTime"),
        ("PublishClock", "isaacsim.ros2.bridge.ROS2PublishClock"),
        ("ReadJoints", "isaacsim.sensors.physics.IsaacReadJointState"),
        ("PublishJoints", "isaacsim.ros2.bridge.ROS2PublishJointState"),
    ]
    graph.values += [
        ("Context.inputs:useDomainIDEnvVar", True),
        ("SimTime.inputs:resetOnStop", False),  # time never jumps back
        *_publisher("PublishClock", interface.simulator["isaac/clock"], namespace),
        ("ReadJoints.inputs:prim", [ROBOT_PATH]),
        *_publisher("PublishJoints", interface.simulator["isaac/joint_states"], namespace),
    ]
    graph.connections += [
        ("Tick.outputs:tick", "PublishClock.inputs:execIn"),
        ("Context.outputs:context", "PublishClock.inputs:context"),
        ("SimTime.outputs:simulationTime", "PublishClock.inputs:timeStamp"),
        ("Tick.outputs:tick", "ReadJoints.inputs:execIn"),
        ("ReadJoints.outputs:execOut", "PublishJoints.inputs:execIn"),
        ("Context.outputs:context", "PublishJoints.inputs:context"),
        # Not the sensor's own time, which has 32 bits and is off by microseconds after minutes.
        ("SimTime.outputs:simulationTime", "PublishJoints.inputs:timeStamp"),
        *(
            (f"ReadJoints.outputs:{name}", f"PublishJoints.inputs:{name}")
            for name in (
                "jointNames",
                "jointPositions",
                "jointVelocities",
                "jointEfforts",
                "jointDofTypes",
                "stageMetersPerUnit",
            )
        ),
    ]
    for camera in interface.cameras:
        _add_camera(graph, interface, camera, namespace)
    return graph


def _publisher(node: str, endpoint: Endpoint, namespace: str) -> list[tuple[str, Any]]:
    return [
        (f"{node}.inputs:nodeNamespace", namespace),
        (f"{node}.inputs:topicName", endpoint.topic),
        (f"{node}.inputs:qosProfile", qos_json(endpoint.profile)),
        (f"{node}.inputs:queueSize", endpoint.profile.depth),
    ]


def _add_camera(graph: Graph, interface: Interface, camera: str, namespace: str) -> None:
    product, image, info = (f"{camera.title()}{part}" for part in ("Product", "Image", "Info"))
    graph.nodes += [
        (product, "isaacsim.core.nodes.IsaacCreateRenderProduct"),
        (image, "isaacsim.ros2.bridge.ROS2CameraHelper"),
        (info, "isaacsim.ros2.bridge.ROS2CameraInfoHelper"),
    ]
    graph.values += [
        (f"{product}.inputs:cameraPrim", [camera_path(camera)]),
        (f"{product}.inputs:width", interface.width),
        (f"{product}.inputs:height", interface.height),
        (f"{image}.inputs:type", "rgb"),
    ]
    graph.connections += [("Tick.outputs:tick", f"{product}.inputs:execIn")]
    for node, topic in ((image, "image_raw"), (info, "camera_info")):
        endpoint = interface.simulator[f"isaac/{camera}/{topic}"]
        graph.values += [
            *_publisher(node, endpoint, namespace),
            (f"{node}.inputs:frameId", endpoint.frame),
            (f"{node}.inputs:resetSimulationTimeOnStop", False),
        ]
        graph.connections += [
            (f"{product}.outputs:execOut", f"{node}.inputs:execIn"),
            (f"{product}.outputs:renderProductPath", f"{node}.inputs:renderProductPath"),
            ("Context.outputs:context", f"{node}.inputs:context"),
        ]
