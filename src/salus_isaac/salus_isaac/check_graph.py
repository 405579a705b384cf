# SPDX-License-Identifier: Apache-2.0
"""The static check of a graph against the node types of Isaac Sim.

It cannot show that prims exist, which variants an asset has, attributes made at run time, physics
or rates.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from salus_isaac.attribute_types import connects, unfit_value
from salus_isaac.graph import BRIDGE_EXTENSION, Graph
from salus_isaac.node_table import EXECUTION, NodeTable, Problem, split_attribute, suggestion

_ROS_NODE = "isaacsim.ros2.bridge."
_CONTEXT = "isaacsim.ros2.bridge.ROS2Context"
_TIME = "isaacsim.core.nodes.IsaacReadSimulationTime"
# Inputs without which a node does nothing or something else; the descriptions do not mark them.
_NEEDED = {
    "isaacsim.core.nodes.IsaacCreateRenderProduct": ["cameraPrim"],
    "isaacsim.sensors.physics.IsaacReadJointState": ["prim"],
    "isaacsim.ros2.bridge.ROS2CameraHelper": ["renderProductPath"],
    "isaacsim.ros2.bridge.ROS2CameraInfoHelper": ["renderProductPath"],
    "isaacsim.ros2.bridge.ROS2PublishClock": ["timeStamp"],
    "isaacsim.ros2.bridge.ROS2PublishJointState": [
        "timeStamp",
        "jointNames",
        "jointPositions",
        "jointVelocities",
        "jointEfforts",
        "jointDofTypes",
        "stageMetersPerUnit",
    ],
    "isaacsim.core.nodes.IsaacArticulationController": ["jointNames"],
}
_RESETS_TIME = {"resetOnStop", "resetSimulationTimeOnStop"}


def check_graph(graph: Graph, table: NodeTable) -> list[Problem]:
    """Every mistake that the node types alone show.

    Args:
        graph: the graph to check.
        table: what Isaac Sim has.

    Returns:
        Findings; empty if there are none.
    """
    return [
        *_nodes(graph, table),
        *_values(graph, table),
        *_connections(graph, table),
        *_execution(graph, table),
        *_needed(graph, table),
        *_pitfalls(graph, table),
    ]


def node_values(graph: Graph, node: str) -> dict[str, Any]:
    """Values set on a node's inputs, by the attribute's name."""
    found = {}
    for where, value in graph.values:
        name, side, attribute = split_attribute(where)
        if (name, side) == (node, "inputs"):
            found[attribute] = value
    return found


def sources(graph: Graph, node: str) -> dict[str, list[str]]:
    """What is connected to a node's inputs: source attributes by the input's name."""
    found: dict[str, list[str]] = {}
    for source, target in graph.connections:
        name, side, attribute = split_attribute(target)
        if (name, side) == (node, "inputs"):
            found.setdefault(attribute, []).append(source)
    return found


def check_qos(text: Any, table: NodeTable, where: str) -> Iterator[Problem]:
    """Problems of a `qosProfile` value."""
    try:
        profile = json.loads(text)
    except (TypeError, ValueError) as error:
        yield Problem("qos-json", where, f"qosProfile is not valid JSON: {error}")
        return
    if not isinstance(profile, dict):
        yield Problem("qos-json", where, "qosProfile must be a JSON object")
        return
    for key in table.qos_keys.keys() - profile.keys():
        yield Problem("qos-key-missing", where, f"qosProfile lacks '{key}': all eight are needed")
    for key, value in profile.items():
        if key not in table.qos_keys:
            hint = suggestion(key, table.qos_keys)
            yield Problem("qos-key-unknown", where, f"qosProfile has no key '{key}'{hint}")
            continue
        allowed = table.qos_allowed.get(key)
        if allowed is not None and value not in allowed:
            text = f"qosProfile's {key} is {value!r}: use one of {', '.join(allowed)}"
            yield Problem("qos-value", where, text)
        kind = table.qos_keys[key]
        if kind.startswith("float") and (not isinstance(value, float) or value < 0):
            text = f"qosProfile's {key} is {json.dumps(value)}: write a number like 0.0"
            yield Problem("qos-value", where, text)
        whole = isinstance(value, int) and not isinstance(value, bool)
        if kind.startswith("integer") and (not whole or value < 0):
            text = f"qosProfile's {key} is {json.dumps(value)}: write a whole number from 0"
            yield Problem("qos-value", where, text)


def _nodes(graph: Graph, table: NodeTable) -> Iterator[Problem]:
    enabled = table.enabled_by(BRIDGE_EXTENSION)
    for name, count in Counter(name for name, _ in graph.nodes).items():
        if count > 1:
            yield Problem("duplicate-node", name, f"{count} nodes have this name")
        if not name.isidentifier():
            yield Problem("node-name", name, "not a valid prim name: letters, digits, underscores")
    for name, node_type in graph.nodes:
        if table.deprecated(node_type):
            text = (
                f"node type '{node_type}' is of the removed namespace {table.deprecated(node_type)}"
            )
            yield Problem("deprecated-node", name, text + suggestion(node_type, table.nodes))
        elif node_type not in table.nodes:
            text = f"Isaac Sim {table.version} has no node type '{node_type}'"
            yield Problem("unknown-node-type", name, text + suggestion(node_type, table.nodes))
        else:
            extension = table.nodes[node_type]["extension"] or ""
            if extension.startswith("isaacsim.") and extension not in enabled:
                text = f"'{node_type}' is of {extension}, which {BRIDGE_EXTENSION} does not enable"
                yield Problem("extension-not-enabled", name, text)
    if not graph.path.startswith("/") or graph.path.endswith("/"):
        yield Problem("graph-path", graph.path, "the graph's path is no absolute prim path")
    if graph.evaluator != "execution":
        text = f"the evaluator is '{graph.evaluator}': an action graph needs 'execution'"
        yield Problem("evaluator", graph.path, text)


def _end(
    graph: Graph, table: NodeTable, text: str, sides: tuple[str, ...]
) -> tuple[Problem | None, Any]:
    """Finding about one 'node.side:name', or None, and the attribute's type."""
    types = dict(graph.nodes)
    node, side, name = split_attribute(text)
    if node not in types:
        problem = Problem("unknown-node", text, f"no node '{node}'{suggestion(node, types)}")
        return problem, None
    if types[node] not in table.nodes:
        return None, None  # said of the node itself
    if side not in sides or not name:
        expected = " or ".join(f"{node}.{kind}:NAME" for kind in sides)
        return Problem("direction", text, f"expected {expected}"), None
    known = table.attributes(types[node], side)
    if name not in known:
        hint = suggestion(name, known)
        message = f"'{types[node]}' has no attribute {side}:{name}{hint}"
        return Problem("unknown-attribute", text, message), None
    if known[name].get("deprecated"):
        return Problem("deprecated-attribute", text, f"{side}:{name} is deprecated"), None
    return None, known[name].get("type")


def _values(graph: Graph, table: NodeTable) -> Iterator[Problem]:
    types = dict(graph.nodes)
    for where, count in Counter(where for where, _ in graph.values).items():
        if count > 1:
            yield Problem("duplicate-value", where, "is set more than once")
    for where, value in graph.values:
        problem, kind = _end(graph, table, where, ("inputs", "state"))
        if problem is not None:
            yield problem
            continue
        node, side, name = split_attribute(where)
        if types[node] not in table.nodes:
            continue
        reason = unfit_value(kind, value)
        if reason:
            yield Problem("value-type", where, f"{value!r} does not fit the type {kind}: {reason}")
            continue
        allowed = table.attributes(types[node], side)[name].get("allowed_tokens")
        if allowed and value not in allowed:
            text = f"{value!r} is not allowed: use one of {', '.join(allowed)}"
            yield Problem("value-not-allowed", where, text)
        if name == "qosProfile" and value:
            yield from check_qos(value, table, where)
        if any(target == where for _, target in graph.connections):
            yield Problem("set-and-connected", where, "has a value and a connection")


def _connections(graph: Graph, table: NodeTable) -> Iterator[Problem]:
    into: Counter = Counter()
    for (source, target), count in Counter(graph.connections).items():
        where = f"{source} -> {target}"
        if count > 1:
            yield Problem("duplicate-connection", where, "is made more than once")
        problem, given = _end(graph, table, source, ("outputs",))
        if problem is not None:
            yield Problem(problem.code, where, f"source: {problem.message}")
        other, wanted = _end(graph, table, target, ("inputs",))
        if other is not None:
            yield Problem(other.code, where, f"target: {other.message}")
        if problem is not None or other is not None:
            continue
        if not connects(given, wanted):
            yield Problem("connection-type", where, f"{given} does not connect to {wanted}")
        if wanted != EXECUTION:
            into[target] += 1
    for target, count in into.items():
        if count > 1:
            yield Problem("several-sources", target, f"{count} outputs are connected to one input")


def _execution(graph: Graph, table: NodeTable) -> Iterator[Problem]:
    types = dict(graph.nodes)
    edges: dict[str, set[str]] = {}
    driven = set()
    for source, target in graph.connections:
        (first, side, name), (second, *_) = split_attribute(source), split_attribute(target)
        if first in types and table.attribute_type(types[first], side, name) == EXECUTION:
            edges.setdefault(first, set()).add(second)
            driven.add(target)
    events = [name for name in types if not _inputs_of_execution(table, types[name])]
    reached, waiting = set(), list(events)
    while waiting:
        node = waiting.pop()
        if node not in reached:
            reached.add(node)
            waiting += edges.get(node, ())
    used = {split_attribute(source)[0] for source, _ in graph.connections}
    for name, node_type in types.items():
        if node_type not in table.nodes:
            continue
        wanted = _inputs_of_execution(table, node_type)
        if wanted and not any(f"{name}.inputs:{port}" in driven for port in wanted):
            text = f"nothing is connected to inputs:{wanted[0]}, so it never runs"
            yield Problem("missing-execution", name, text)
        elif wanted and name not in reached:
            yield Problem("missing-execution", name, "no event leads to it, so it never runs")
        if not wanted and name not in used:
            yield Problem("unused-node", name, "nothing is connected to its outputs")


def _inputs_of_execution(table: NodeTable, node_type: str) -> list[str]:
    inputs = table.attributes(node_type, "inputs")
    return [name for name, entry in inputs.items() if entry.get("type") == EXECUTION]


def _needed(graph: Graph, table: NodeTable) -> Iterator[Problem]:
    types = dict(graph.nodes)
    for name, node_type in types.items():
        given, linked = node_values(graph, name), sources(graph, name)
        for attribute in _NEEDED.get(node_type, ()):
            if attribute not in linked and not given.get(attribute):
                text = f"inputs:{attribute} has neither a value nor a connection"
                yield Problem("missing-input", name, text)
        if node_type.startswith(_ROS_NODE) and "context" in table.attributes(node_type, "inputs"):
            origin = [split_attribute(source)[0] for source in linked.get("context", ())]
            if not any(types.get(node) == _CONTEXT for node in origin):
                text = f"inputs:context is not connected to a node of type {_CONTEXT}"
                yield Problem("missing-context", name, text)


def _pitfalls(graph: Graph, table: NodeTable) -> Iterator[Problem]:
    types = dict(graph.nodes)
    for name, node_type in types.items():
        given, linked = node_values(graph, name), sources(graph, name)
        for attribute in _RESETS_TIME & table.attributes(node_type, "inputs").keys():
            if given.get(attribute, True) is not False:
                text = f"inputs:{attribute} must be False, or time jumps back after a stop"
                yield Problem("time-jumps", name, text)
        if given.get("useSystemTime"):
            yield Problem("wall-clock", name, "useSystemTime: stamps must be simulation time")
        if "sensorTime" in linked:
            text = "sensorTime has 32 bits: connect timeStamp to the simulation time instead"
            yield Problem("time-precision", name, text)
        clock = [split_attribute(source)[0] for source in linked.get("timeStamp", ())]
        if clock and types.get(clock[0]) != _TIME:
            text = f"timeStamp comes from '{clock[0]}', which is no node of type {_TIME}"
            yield Problem("wall-clock", name, text)
        if node_type == _CONTEXT and given.get("useDomainIDEnvVar", True) is not True:
            text = "useDomainIDEnvVar is False: instances could not be told apart by ROS_DOMAIN_ID"
            yield Problem("domain", name, text)
        if node_type == "isaacsim.core.nodes.OnPhysicsStep":
            text = "needs a graph of the on-demand pipeline stage; this one is driven by the app"
            yield Problem("pipeline", name, text)
        if "enabled" in given and given["enabled"] is not True:
            yield Problem("disabled", name, "inputs:enabled is off, so it never publishes")
        yield from _stale_commands(name, types, linked)


def _stale_commands(
    name: str, types: dict[str, str], linked: dict[str, list[str]]
) -> Iterator[Problem]:
    feeding = {
        node
        for attribute, origins in linked.items()
        for node in (split_attribute(origin)[0] for origin in origins)
        if attribute not in ("execIn", "context")
        and types.get(node, "").startswith("isaacsim.ros2.bridge.ROS2Subscribe")
    }
    for node in sorted(feeding):
        if f"{node}.outputs:execOut" not in linked.get("execIn", ()):
            text = f"is fed by '{node}' but not run by its execOut: it would repeat old commands"
            yield Problem("stale-command", name, text)
