# SPDX-License-Identifier: Apache-2.0
"""Handlers of the events that launch files react to."""

from typing import Any

from ._core import Event, EventHandler
from .events import Shutdown
from .events.process import ProcessExited, ProcessStarted, RunningProcessEvent


class _OnProcessEvent(EventHandler):
    """Reacts to one kind of event of one process, of those that match, or of every process."""

    event_type: type[RunningProcessEvent]

    def __init__(self, target_action: Any, reaction: Any):
        def matches(event: Event) -> bool:
            if not isinstance(event, self.event_type):
                return False
            if target_action is None or event.action is target_action:
                return True
            return callable(target_action) and bool(target_action(event.action))

        super().__init__(matcher=matches, entities=reaction)


class OnProcessExit(_OnProcessEvent):
    """Calls `on_exit(event, context)`, or visits its entities, when a process has ended."""

    event_type = ProcessExited

    def __init__(self, *, target_action: Any = None, on_exit: Any):
        super().__init__(target_action, on_exit)


class OnProcessStart(_OnProcessEvent):
    """Calls `on_start(event, context)`, or visits its entities, when a process runs."""

    event_type = ProcessStarted

    def __init__(self, *, target_action: Any = None, on_start: Any):
        super().__init__(target_action, on_start)


class OnShutdown(EventHandler):
    """Calls `on_shutdown(event, context)`, or visits its entities, when everything is to end."""

    def __init__(self, *, on_shutdown: Any):
        super().__init__(matcher=lambda event: isinstance(event, Shutdown), entities=on_shutdown)
