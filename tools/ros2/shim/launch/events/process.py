# SPDX-License-Identifier: Apache-2.0
"""Events of processes."""

import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .._core import Event


@dataclass
class RunningProcessEvent(Event):
    """An event of one process."""

    action: Any
    name: str
    cmd: list[str]
    cwd: str | None
    env: dict[str, str] | None
    pid: int

    @property
    def process_name(self) -> str:
        """The label of the process, like 'world_node-1'."""
        return self.name


@dataclass
class ProcessStarted(RunningProcessEvent):
    """The process runs."""


@dataclass
class ProcessExited(RunningProcessEvent):
    """The process has ended; `returncode` is negative after a signal."""

    returncode: int


class SignalProcess(Event):
    """A request to send a signal to every process that matches."""

    def __init__(
        self, *, signal_number: int | str | signal.Signals, process_matcher: Callable[[Any], bool]
    ):
        if isinstance(signal_number, str):
            signal_number = signal.Signals[signal_number]
        self.signal = signal.Signals(signal_number)
        self.process_matcher = process_matcher


class ShutdownProcess(Event):
    """A request to end every process that matches."""

    def __init__(self, *, process_matcher: Callable[[Any], bool]):
        self.process_matcher = process_matcher
