# SPDX-License-Identifier: Apache-2.0
"""Breaks processes on purpose, and watches what reaches the robot."""

import os
import re
import shutil
import signal
import subprocess
import threading
import time
import traceback
from pathlib import Path

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from salus_msgs.msg import ActionCommand, Intervention

from salus_ros import qos

PERIOD = 1 / 30
OLDEST = 5 * PERIOD + 0.05
"""Age up to which the supervisor lets proposals through, and the way to the robot [s]."""


class RobotSide:
    """What a robot's driver sees: each command with its age, each intervention, diagnostics."""

    def __init__(self, context):
        self.node = rclpy.create_node("robot_side", context=context)
        self.commands, self.interventions, self.problems = [], [], []
        subscribe = self.node.create_subscription
        subscribe(ActionCommand, "/cell/arm/motion", self._on_command, qos.RELIABLE)
        subscribe(Intervention, "/salus/intervention", self._on_intervention, qos.RELIABLE)
        subscribe(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self.node)
        self.error = ""
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self):
        try:
            self._executor.spin()
        except Exception:
            self.error = traceback.format_exc()

    def close(self):
        self._executor.shutdown()
        self._thread.join(5)
        self.node.destroy_node()

    def _on_command(self, command, info):
        # When it was sent, not when this busy process came to read it.
        sent = info["source_timestamp"] * 1e-9
        stamp = command.header.stamp.sec + command.header.stamp.nanosec * 1e-9
        moves = any(abs(value) > 1e-9 for value in command.action[:6])
        self.commands.append((sent - time.time() + time.monotonic(), sent - stamp, moves))

    def _on_intervention(self, intervention):
        held = intervention.kind == Intervention.KIND_HOLD
        self.interventions.append((time.monotonic(), held, intervention.reason))

    def _on_diagnostics(self, report):
        for status in report.status:
            if status.level != b"\0":
                self.problems.append((time.monotonic(), status.name, status.message))

    def nodes(self):
        return set(self.node.get_node_names())

    def moving(self, since):
        return [when for when, _, moves in self.commands if moves and when >= since]

    def stale(self, since):
        """Ages of commands that move the robot by what was seen too long ago [s]."""
        found = [age for when, age, moves in self.commands if moves and when >= since]
        return [age for age in found if not -PERIOD <= age <= OLDEST]

    def burst(self, since, window=0.1):
        """Most commands within a window [s]."""
        times = [when for when, _, _ in self.commands if when >= since]
        return max((sum(t <= u < t + window for u in times) for t in times), default=0)

    def hold_after(self, moment):
        """Time from a moment to the first hold [s]; None: there was none."""
        return next(
            (when - moment for when, held, _ in self.interventions if held and when > moment), None
        )

    def said(self, since, text):
        told = [reason for when, _, reason in self.interventions if when >= since]
        told += [message for when, _, message in self.problems if when >= since]
        return any(text in one for one in told)


class Processes:
    """The processes that a launch file started: each can be killed, stopped and started again."""

    def __init__(self, log: Path, environment, folder):
        self.log, self._environment, self._folder = log, environment, folder
        self._again = {}
        self._commands = {}

    def pid(self, name):
        if name in self._again:
            return self._again[name].pid
        found = re.findall(
            rf"\[{name}-\d+\]: process started with pid \[(\d+)\]", self.log.read_text()
        )
        return int(found[-1]) if found else None

    def kill(self, name):
        """Kill a process."""
        pid = self.pid(name)
        if name not in self._commands:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]
            self._commands[name] = [self._kept(word) for word in command]
        os.kill(pid, signal.SIGKILL)
        if name in self._again:
            self._again[name].wait()

    def _kept(self, word):
        """A file that launch deletes with its process, as a copy."""
        if "/launch_params_" not in word:
            return word
        return shutil.copy(word, self.log.parent)

    def was_started_again(self, name):
        return name in self._again

    def start(self, name):
        """Start a process again that was killed."""
        with (self.log.parent / f"{name}.log").open("a") as log:
            self._again[name] = subprocess.Popen(
                self._commands[name],
                env=self._environment,
                cwd=self._folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def close(self):
        for process in self._again.values():
            process.kill()
            process.wait()


def alive(pid):
    """Whether a process is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def left_behind(marker):
    """Processes that carry a marker in their environment, by command."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if marker.encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found
