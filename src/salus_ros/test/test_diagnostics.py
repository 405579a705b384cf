# SPDX-License-Identifier: Apache-2.0
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from rclpy.parameter import Parameter

from salus_ros.diagnostics import ERROR, WARN, Diagnostics, DiagnosticsParameters
from salus_ros.parameters import declare

pytestmark = pytest.mark.ros


def diagnostics(namespace="", **overrides):
    given = [Parameter(f"diagnostics.{name}", value=value) for name, value in overrides.items()]
    node = Node("worker", namespace=namespace, parameter_overrides=given)
    return node, Diagnostics(node, declare(node, DiagnosticsParameters))


def figures(status):
    return {value.key: value.value for value in status.values}


def test_rate_latency_drops_and_values_are_reported_on_the_topic(ros, executor, spin_until):
    node, report = diagnostics("salus", period=0.1)
    received = []
    node.create_subscription(DiagnosticArray, "/diagnostics", received.append, 10)
    executor.add_node(node)
    report.set("model hash", "abc")
    for latency in (0.010, 0.030):
        report.count(latency)
    spin_until(lambda: any(m.status[0].values[1].value == "2" for m in received))
    status = received[-1].status[0]
    assert status.name == "salus/worker"
    assert figures(status)["latency mean [ms]"] == "20.00"
    assert figures(status)["model hash"] == "abc"


def test_drops_warn_by_default_and_only_while_they_happen(ros):
    _, report = diagnostics()
    report.drop()
    status = report.status()
    assert (status.level, status.message) == (DiagnosticStatus.WARN, "1 drops")
    assert report.status().level == DiagnosticStatus.OK
    assert report.drops == 1


@pytest.mark.parametrize(
    ("thresholds", "level"),
    [
        ({}, DiagnosticStatus.OK),
        ({"latency_warn": 0.1}, DiagnosticStatus.WARN),
        ({"latency_warn": 0.1, "latency_error": 0.2}, DiagnosticStatus.ERROR),
        ({"latency_warn": 0.5}, DiagnosticStatus.OK),
        ({"rate_warn": 1e9}, DiagnosticStatus.WARN),
        ({"rate_error": 1e9}, DiagnosticStatus.ERROR),
        ({"rate_error": 1e-3}, DiagnosticStatus.OK),
    ],
)
def test_thresholds_are_parameters(ros, thresholds, level):
    _, report = diagnostics(**thresholds)
    report.count(0.3)
    assert report.status().level == level


def test_a_threshold_can_be_changed_while_running(ros):
    node, report = diagnostics()
    node.set_parameters([Parameter("diagnostics.latency_warn", value=0.1)])
    report.count(0.3)
    assert report.status().level == DiagnosticStatus.WARN


def test_a_problem_is_an_error_until_it_is_over(ros):
    _, report = diagnostics()
    report.problem("disk full")
    assert (report.status().level, report.status().message) == (DiagnosticStatus.ERROR, "disk full")
    report.problem("")
    assert report.status().level == DiagnosticStatus.OK


def test_problems_of_several_sources_are_told_together_the_worst_first(ros):
    _, report = diagnostics()
    report.problem("forecasts are late", "forecasts", WARN)
    assert report.status().level == DiagnosticStatus.WARN
    report.problem("no proposal", "proposals")
    status = report.status()
    assert (status.level, status.message) == (ERROR, "no proposal; forecasts are late")
    report.problem("", "proposals")
    assert report.status().level == DiagnosticStatus.WARN
