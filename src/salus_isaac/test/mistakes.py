# SPDX-License-Identifier: Apache-2.0
"""Mistakes that are seeded into the bridge's graph, each with the finding that must come of it."""

import json


def retype(graph, name, node_type):
    graph.nodes = [(n, node_type if n == name else t) for n, t in graph.nodes]


def put(graph, where, value):
    graph.values = [pair for pair in graph.values if pair[0] != where] + [(where, value)]


def relink(graph, old, new):
    assert old in graph.connections
    graph.connections = [new if pair == old else pair for pair in graph.connections]


def unlink(graph, target):
    before = len(graph.connections)
    graph.connections = [pair for pair in graph.connections if pair[1] != target]
    assert len(graph.connections) < before


def requalify(graph, where, change):
    text = dict(graph.values)[where]
    profile = json.loads(text)
    change(profile)
    put(graph, where, json.dumps(profile))


CLOCK_QOS = "PublishClock.inputs:qosProfile"

# What is done to the graph, and the finding that must come of it.
MISTAKES = {
    "unknown node type": (
        lambda g: retype(g, "PublishClock", "isaacsim.ros2.bridge.ROS2PublishClocks"),
        "unknown-node-type",
    ),
    "node type of another extension": (
        lambda g: retype(g, "ReadJoints", "isaacsim.ros2.bridge.IsaacReadJointState"),
        "unknown-node-type",
    ),
    "removed namespace": (
        lambda g: retype(g, "PublishClock", "omni.isaac.ros2_bridge.ROS2PublishClock"),
        "deprecated-node",
    ),
    "extension that is not enabled": (
        lambda g: g.nodes.append(("Grip", "isaacsim.robot.surface_gripper.SurfaceGripper")),
        "extension-not-enabled",
    ),
    "duplicate node name": (
        lambda g: g.nodes.append(("Tick", "omni.graph.action.OnPlaybackTick")),
        "duplicate-node",
    ),
    "node name that is no prim name": (
        lambda g: g.nodes.append(("Read-It", "isaacsim.core.nodes.IsaacReadSimulationTime")),
        "node-name",
    ),
    "relative path of the graph": (lambda g: setattr(g, "path", "SalusGraph"), "graph-path"),
    "evaluator": (lambda g: setattr(g, "evaluator", "push"), "evaluator"),
    "misspelt attribute of a value": (
        lambda g: g.values.append(("PublishClock.inputs:topicname", "isaac/clock")),
        "unknown-attribute",
    ),
    "misspelt attribute of a connection": (
        lambda g: relink(
            g,
            ("SimTime.outputs:simulationTime", "PublishClock.inputs:timeStamp"),
            ("SimTime.outputs:simulationtime", "PublishClock.inputs:timeStamp"),
        ),
        "unknown-attribute",
    ),
    "unknown node in a connection": (
        lambda g: g.connections.append(("Tock.outputs:tick", "PublishClock.inputs:execIn")),
        "unknown-node",
    ),
    "unknown node in a value": (lambda g: g.values.append(("Clock.inputs:x", 1)), "unknown-node"),
    "output connected to output": (
        lambda g: g.connections.append(
            ("Tick.outputs:tick", "ReadJoints.outputs:execOut"),
        ),
        "direction",
    ),
    "input as a source": (
        lambda g: g.connections.append(("Tick.inputs:tick", "PublishClock.inputs:execIn")),
        "direction",
    ),
    "connection the wrong way round": (
        lambda g: relink(
            g,
            ("Context.outputs:context", "PublishClock.inputs:context"),
            ("PublishClock.inputs:context", "Context.outputs:context"),
        ),
        "direction",
    ),
    "value of an output": (
        lambda g: g.values.append(("SimTime.outputs:simulationTime", 0.0)),
        "direction",
    ),
    "attribute without a side": (
        lambda g: g.values.append(("SimTime.resetOnStop", False)),
        "direction",
    ),
    "connection of unlike types": (
        lambda g: relink(
            g,
            ("ReadJoints.outputs:jointPositions", "PublishJoints.inputs:jointPositions"),
            ("ReadJoints.outputs:jointNames", "PublishJoints.inputs:jointPositions"),
        ),
        "connection-type",
    ),
    "data connected to execution": (
        lambda g: g.connections.append(("Tick.outputs:time", "PublishClock.inputs:execIn")),
        "connection-type",
    ),
    "narrowing connection": (
        lambda g: relink(
            g,
            ("SimTime.outputs:simulationTime", "PublishClock.inputs:timeStamp"),
            ("SimTime.outputs:simulationTime", "PublishClock.inputs:queueSize"),
        ),
        "connection-type",
    ),
    "two sources of one input": (
        lambda g: g.connections.append(("Tick.outputs:time", "PublishClock.inputs:timeStamp")),
        "several-sources",
    ),
    "connection made twice": (
        lambda g: g.connections.append(g.connections[0]),
        "duplicate-connection",
    ),
    "value and connection": (
        lambda g: put(g, "PublishClock.inputs:timeStamp", 1.0),
        "set-and-connected",
    ),
    "value set twice": (
        lambda g: g.values.append(("FrontImage.inputs:type", "rgb")),
        "duplicate-value",
    ),
    "value of another type": (lambda g: put(g, "FrontProduct.inputs:width", "256"), "value-type"),
    "fraction of a pixel": (lambda g: put(g, "FrontProduct.inputs:width", 256.0), "value-type"),
    "negative size": (lambda g: put(g, "FrontProduct.inputs:height", -256), "value-type"),
    "target that is no list": (
        lambda g: put(g, "ReadJoints.inputs:prim", "/World/Franka"),
        "value-type",
    ),
    "relative prim path": (lambda g: put(g, "ReadJoints.inputs:prim", ["Franka"]), "value-type"),
    "token that is not allowed": (
        lambda g: put(g, "FrontImage.inputs:type", "color"),
        "value-not-allowed",
    ),
    "deprecated attribute": (
        lambda g: put(g, "FrontImage.inputs:frameSkipCount", 1),
        "deprecated-attribute",
    ),
    "missing execution link": (
        lambda g: unlink(g, "PublishClock.inputs:execIn"),
        "missing-execution",
    ),
    "execution that no event starts": (
        lambda g: unlink(g, "ReadJoints.inputs:execIn"),
        "missing-execution",
    ),
    "missing context": (lambda g: unlink(g, "PublishClock.inputs:context"), "missing-context"),
    "no context node": (
        lambda g: (
            setattr(g, "nodes", [n for n in g.nodes if n[0] != "Context"]),
            setattr(g, "values", [v for v in g.values if not v[0].startswith("Context")]),
            setattr(g, "connections", [c for c in g.connections if not c[0].startswith("Context")]),
        ),
        "missing-context",
    ),
    "context from a number": (
        lambda g: relink(
            g,
            ("Context.outputs:context", "PublishClock.inputs:context"),
            ("ReadJoints.outputs:sensorTime", "PublishClock.inputs:context"),
        ),
        "missing-context",
    ),
    "stamp that stays 0": (lambda g: unlink(g, "PublishClock.inputs:timeStamp"), "missing-input"),
    "joints without efforts": (
        lambda g: unlink(g, "PublishJoints.inputs:jointEfforts"),
        "missing-input",
    ),
    "camera without a render product": (
        lambda g: unlink(g, "WristImage.inputs:renderProductPath"),
        "missing-input",
    ),
    "joints swapped": (
        lambda g: relink(
            g,
            ("ReadJoints.outputs:jointVelocities", "PublishJoints.inputs:jointVelocities"),
            ("ReadJoints.outputs:jointPositions", "PublishJoints.inputs:jointVelocities"),
        ),
        "joint-arrays",
    ),
    "joints published before they are read": (
        lambda g: relink(
            g,
            ("ReadJoints.outputs:execOut", "PublishJoints.inputs:execIn"),
            ("Tick.outputs:tick", "PublishJoints.inputs:execIn"),
        ),
        "execution-order",
    ),
    "time that jumps back": (lambda g: put(g, "SimTime.inputs:resetOnStop", True), "time-jumps"),
    "camera's time that jumps back": (
        lambda g: setattr(g, "values", [v for v in g.values if "SimulationTimeOnStop" not in v[0]]),
        "time-jumps",
    ),
    "stamps of the wall clock": (
        lambda g: put(g, "FrontImage.inputs:useSystemTime", True),
        "wall-clock",
    ),
    "clock of the wall": (
        lambda g: retype(g, "SimTime", "isaacsim.core.nodes.IsaacReadSystemTime"),
        "wall-clock",
    ),
    "stamp of 32 bits": (
        lambda g: g.connections.append(
            ("ReadJoints.outputs:sensorTime", "PublishJoints.inputs:sensorTime")
        ),
        "time-precision",
    ),
    "domain not from the environment": (
        lambda g: put(g, "Context.inputs:useDomainIDEnvVar", False),
        "domain",
    ),
    "publisher switched off": (lambda g: put(g, "FrontImage.inputs:enabled", False), "disabled"),
    "event of physics steps": (
        lambda g: g.nodes.append(("Physics", "isaacsim.core.nodes.OnPhysicsStep")),
        "pipeline",
    ),
    "quality of service that is no JSON": (lambda g: put(g, CLOCK_QOS, "reliable"), "qos-json"),
    "quality of service without a key": (
        lambda g: requalify(g, CLOCK_QOS, lambda p: p.pop("leaseDuration")),
        "qos-key-missing",
    ),
    "quality of service with a misspelt key": (
        lambda g: requalify(g, CLOCK_QOS, lambda p: p.update(lease_duration=0.0)),
        "qos-key-unknown",
    ),
    "duration as a whole number": (
        lambda g: requalify(g, CLOCK_QOS, lambda p: p.update(deadline=0)),
        "qos-value",
    ),
    "depth as a fraction": (
        lambda g: requalify(g, CLOCK_QOS, lambda p: p.update(depth=10.0)),
        "qos-value",
    ),
    "ROS's spelling of a policy": (
        lambda g: requalify(g, CLOCK_QOS, lambda p: p.update(reliability="best_effort")),
        "qos-value",
    ),
    "other quality of service": (
        lambda g: requalify(g, CLOCK_QOS, lambda p: p.update(reliability="bestEffort")),
        "qos",
    ),
    "other queue size": (lambda g: put(g, "PublishClock.inputs:queueSize", 1), "qos"),
    "topic that is not in the interface": (
        lambda g: put(g, "FrontImage.inputs:topicName", "isaac/front/rgb"),
        "topic",
    ),
    "two publishers of one topic": (
        lambda g: put(g, "SideImage.inputs:topicName", "isaac/front/image_raw"),
        "topic",
    ),
    "image on the topic of the intrinsics": (
        lambda g: put(g, "FrontImage.inputs:topicName", "isaac/front/camera_info"),
        "message-type",
    ),
    "depth image": (lambda g: put(g, "FrontImage.inputs:type", "depth_pcl"), "message-type"),
    "other namespace": (lambda g: put(g, "PublishClock.inputs:nodeNamespace", ""), "namespace"),
    "wrong frame": (lambda g: put(g, "FrontImage.inputs:frameId", "front"), "frame"),
    "default frame": (
        lambda g: setattr(g, "values", [v for v in g.values if "frameId" not in v[0]]),
        "frame",
    ),
    "wrong resolution": (lambda g: put(g, "FrontProduct.inputs:width", 640), "resolution"),
    "default resolution": (
        lambda g: setattr(
            g, "values", [v for v in g.values if v[0] != "SideProduct.inputs:height"]
        ),
        "resolution",
    ),
    "topic shows another camera": (
        lambda g: put(g, "FrontProduct.inputs:cameraPrim", ["/World/side_camera"]),
        "camera",
    ),
    "joints of another prim": (
        lambda g: put(g, "ReadJoints.inputs:prim", ["/World/Panda"]),
        "robot",
    ),
    "node that nothing uses": (
        lambda g: g.nodes.append(("Spare", "isaacsim.core.nodes.IsaacReadSimulationTime")),
        "unused-node",
    ),
}
