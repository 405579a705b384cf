# SPDX-License-Identifier: Apache-2.0
import copy
import dataclasses

import pytest
from mistakes import MISTAKES, put, retype

from salus_isaac.check_contract import check_contract, check_interface
from salus_isaac.check_graph import check_graph


def problems(graph, interface, table):
    return [*check_graph(graph, table), *check_contract(graph, interface, table)]


def codes(graph, interface, table):
    return {problem.code for problem in problems(graph, interface, table)}


def commanded(graph, interface, order=None, by="Command"):
    """The graph with joint commands: subscriber and controller."""
    graph.nodes += [
        ("Command", "isaacsim.ros2.bridge.ROS2SubscribeJointState"),
        ("Control", "isaacsim.core.nodes.IsaacArticulationController"),
    ]
    graph.values += [("Control.inputs:jointNames", order or interface.joint_names)]
    graph.connections += [
        ("Tick.outputs:tick", "Command.inputs:execIn"),
        ("Context.outputs:context", "Command.inputs:context"),
        (
            "Command.outputs:execOut" if by == "Command" else "Tick.outputs:tick",
            "Control.inputs:execIn",
        ),
        ("Command.outputs:positionCommand", "Control.inputs:positionCommand"),
    ]


def test_the_graph_of_the_bridge_has_no_findings(graph, interface, table):
    assert [str(problem) for problem in problems(graph, interface, table)] == []


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_seeded_mistake_is_found(graph, interface, table, mistake):
    before = copy.deepcopy(graph)
    seed, code = MISTAKES[mistake]
    seed(graph)
    assert graph != before
    assert code in codes(graph, interface, table)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_findings_name_the_closest_known_name(graph, interface, table, number):
    wrong, right = [
        ("isaacsim.ros2.bridge.ROS2PublishClok", "isaacsim.ros2.bridge.ROS2PublishClock"),
        ("PublishClock.inputs:topicNam", "topicName"),
        ("isaac/clok", "isaac/clock"),
    ][number]
    if number == 0:
        retype(graph, "PublishClock", wrong)
    elif number == 1:
        graph.values.append((wrong, "x"))
    else:
        put(graph, "PublishClock.inputs:topicName", wrong)
    assert any(f"did you mean '{right}'" in str(p) for p in problems(graph, interface, table))


def test_every_connection_that_is_taken_away_is_found(graph, interface, table):
    for index in range(len(graph.connections)):
        poorer = copy.deepcopy(graph)
        gone = poorer.connections.pop(index)
        assert problems(poorer, interface, table), gone


def test_every_value_of_the_graph_matters(graph, interface, table):
    harmless = {"queueSize", "useDomainIDEnvVar", "type"}  # their defaults fit
    for index, (where, _) in enumerate(graph.values):
        poorer = copy.deepcopy(graph)
        poorer.values.pop(index)
        found = problems(poorer, interface, table)
        assert found or where.rpartition(":")[2] in harmless, where


def test_joint_commands_in_another_order_are_found(graph, interface, table):
    commanded(graph, interface, order=list(reversed(interface.joint_names)))
    assert "joint-order" in codes(graph, interface, table)


def test_a_controller_that_repeats_old_commands_is_found(graph, interface, table):
    commanded(graph, interface, by="Tick")
    assert "stale-command" in codes(graph, interface, table)


def test_a_controller_run_by_its_subscriber_is_not_a_finding(graph, interface, table):
    commanded(graph, interface)
    assert codes(graph, interface, table) <= {"topic", "namespace"}  # of a topic of its own


def test_the_interface_agrees_with_the_scene(interface, scene):
    assert check_interface(interface, scene) == []


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("joints", lambda i: i.joints[::-1], "joint-order"),
        ("joints", lambda i: i.joints[:7], "joint-order"),
        ("cameras", lambda i: i.cameras[:2], "cameras"),
        ("width", lambda i: 224, "resolution"),
        ("height", lambda i: 224, "resolution"),
        ("rate", lambda i: 60.0, "rate"),
    ],
)
def test_an_interface_that_differs_from_the_scene_is_found(interface, scene, field, value, code):
    other = dataclasses.replace(interface, **{field: value(interface)})
    assert [problem.code for problem in check_interface(other, scene)] == [code]
