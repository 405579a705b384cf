# SPDX-License-Identifier: Apache-2.0
"""Rate, latency, drops and model hash of a node on /diagnostics."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from salus_ros.levels import ERROR, OK, WARN
from salus_ros.parameters import parameter
from salus_ros.publishers import PublisherWatch

__all__ = ["ERROR", "OK", "WARN", "Diagnostics", "DiagnosticsParameters"]


@dataclass
class DiagnosticsParameters:
    """Parameters of a node's diagnostics; a threshold of 0 is off."""

    diagnostics_period: float = parameter(
        1.0,
        "Time between two reports on /diagnostics, by the wall clock [s].",
        minimum=0.1,
        maximum=60.0,
        read_only=True,
        name="diagnostics.period",
    )
    diagnostics_window: int = parameter(
        300,
        "Outputs that latency figures are taken over.",
        minimum=1,
        maximum=100000,
        read_only=True,
        name="diagnostics.window",
    )
    rate_warn: float = parameter(
        0.0,
        "Warn below this output rate [Hz]; 0: never.",
        minimum=0.0,
        name="diagnostics.rate_warn",
    )
    rate_error: float = parameter(
        0.0,
        "Error below this output rate [Hz]; 0: never.",
        minimum=0.0,
        name="diagnostics.rate_error",
    )
    latency_warn: float = parameter(
        0.0,
        "Warn above this 99th percentile of latency [s]; 0: never.",
        minimum=0.0,
        name="diagnostics.latency_warn",
    )
    latency_error: float = parameter(
        0.0,
        "Error above this 99th percentile of latency [s]; 0: never.",
        minimum=0.0,
        name="diagnostics.latency_error",
    )
    drops_warn: int = parameter(
        1,
        "Warn from this many drops within one period on; 0: never.",
        minimum=0,
        name="diagnostics.drops_warn",
    )
    drops_error: int = parameter(
        0,
        "Error from this many drops within one period on; 0: never.",
        minimum=0,
        name="diagnostics.drops_error",
    )


class Diagnostics:
    """Reports a node's health once per period.

    `count`, `drop`, `set` and `problem` may be called from any thread.

    Args:
        node: a ManagedNode is reported as OK and 'inactive' while it is inactive.
        parameters: thresholds; followed when they change.
        hardware_id: of the status message.
    """

    def __init__(self, node: Node, parameters: DiagnosticsParameters, hardware_id: str = "salus"):
        self._node = node
        self._parameters = parameters
        self._hardware_id = hardware_id
        self._lock = threading.Lock()
        self._latencies: deque[float] = deque(maxlen=parameters.diagnostics_window)
        self._values: dict[str, str] = {}
        self._problems: dict[str, tuple[bytes, str]] = {}
        self._outputs = self._drops = 0
        self._reported_outputs = self._reported_drops = 0
        self._reported_at = time.monotonic()
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # The wall clock, not the simulation's: a world that stands still is worth a report.
        self._timer = node.create_timer(
            parameters.diagnostics_period,
            self._report,
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )

        self._watch = PublisherWatch(node, self._on_publishers)

    def _on_publishers(self, sentence: str, level: bytes) -> None:
        self.problem(sentence, "publishers", level)
        if sentence and level == ERROR:
            self._node.get_logger().error(sentence)
        elif sentence:
            self._node.get_logger().warning(sentence)

    @property
    def outputs(self) -> int:
        """Outputs since the start."""
        return self._outputs

    @property
    def drops(self) -> int:
        """Drops since the start."""
        return self._drops

    def count(self, latency: float | None = None) -> None:
        """Count one output.

        Args:
            latency: from its input's arrival to its publication [s]; None: not measured.
        """
        with self._lock:
            self._outputs += 1
            if latency is not None:
                self._latencies.append(latency)

    def drop(self, number: int = 1) -> None:
        """Count inputs that were lost, refused or too late."""
        with self._lock:
            self._drops += number

    def set(self, key: str, value: object) -> None:
        """Report a value from now on: 'model hash', 'checkpoint', 'run'."""
        with self._lock:
            self._values[key] = str(value)

    def problem(self, message: str, source: str = "", level: bytes = ERROR) -> None:
        """Report a problem from now on.

        Args:
            message: what is wrong; empty: the problem of this source is over.
            source: what the problem is about; those of several sources are reported together.
            level: ERROR or WARN.
        """
        with self._lock:
            if message:
                self._problems[source] = (level, message)
            else:
                self._problems.pop(source, None)

    def status(self) -> DiagnosticStatus:
        """Health since the last call, as it is published."""
        now = time.monotonic()
        with self._lock:
            span = max(now - self._reported_at, 1e-9)
            rate = (self._outputs - self._reported_outputs) / span
            new_drops = self._drops - self._reported_drops
            self._reported_at = now
            self._reported_outputs, self._reported_drops = self._outputs, self._drops
            latencies = np.array(self._latencies)
            values = dict(self._values)
            problems = list(self._problems.values())
        active = getattr(self._node, "is_active", True)
        p99 = float(np.percentile(latencies, 99)) if latencies.size else None
        level, message = self._judge(rate, p99, new_drops) if active else (OK, "inactive")
        if problems:
            # The worst first; what is only too slow or lost then goes without saying.
            problems.sort(key=lambda one: one[0], reverse=True)
            level = max(level, problems[0][0])
            message = "; ".join(text for _, text in problems)
        figures = {"rate [Hz]": f"{rate:.2f}", "outputs": self._outputs, "drops": self._drops}
        if p99 is not None:
            figures["latency mean [ms]"] = f"{1e3 * latencies.mean():.2f}"
            figures["latency p99 [ms]"] = f"{1e3 * p99:.2f}"
        return DiagnosticStatus(
            level=level,
            name=self._node.get_fully_qualified_name().lstrip("/"),
            message=message,
            hardware_id=self._hardware_id,
            values=[KeyValue(key=k, value=str(v)) for k, v in {**figures, **values}.items()],
        )

    def _judge(self, rate: float, p99: float | None, drops: int) -> tuple[bytes, str]:
        limits = self._parameters
        level, messages = OK, []

        def grade(text: str, warn: float, error: float, passes: Callable[[float], bool]) -> None:
            nonlocal level
            reached = [g for g, limit in ((WARN, warn), (ERROR, error)) if limit and passes(limit)]
            if reached:
                level = max(level, *reached)
                messages.append(text)

        grade(f"rate {rate:.1f} Hz", limits.rate_warn, limits.rate_error, lambda low: rate < low)
        if p99 is not None:
            text = f"latency p99 {1e3 * p99:.1f} ms"
            grade(text, limits.latency_warn, limits.latency_error, lambda high: p99 > high)
        grade(f"{drops} drops", limits.drops_warn, limits.drops_error, lambda most: drops >= most)
        return level, ", ".join(messages) or "running"

    def _report(self) -> None:
        report = DiagnosticArray(status=[self.status()])
        report.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(report)
