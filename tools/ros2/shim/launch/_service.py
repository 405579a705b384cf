# SPDX-License-Identifier: Apache-2.0
"""The event loop that executes a launch description."""

import asyncio
import signal
import traceback
from collections.abc import Iterable

from ._core import (
    Event,
    LaunchContext,
    LaunchDescription,
    LaunchDescriptionEntity,
    TaskFailed,
)
from .events import Shutdown
from .events.process import ShutdownProcess, SignalProcess
from .logging import CONSOLE, get_logger

# Launch configurations that launch itself reads; no description declares them.
_OWN_ARGUMENTS = {"launch-prefix", "sigterm_timeout", "sigkill_timeout", "emulate_tty"}


class _Include(Event):
    """A description is to be visited (internal)."""

    def __init__(self, description: LaunchDescription):
        self.description = description


class LaunchService:
    """Visits launch descriptions, handles events, and ends everything in order."""

    def __init__(
        self,
        *,
        argv: Iterable[str] | None = None,
        noninteractive: bool = False,
        debug: bool = False,
    ):
        self.context = LaunchContext(argv=argv, noninteractive=noninteractive)
        self._pending: list[LaunchDescription] = []
        self._logger = get_logger("launch")
        self._shutting_down = False  # asked for, or begun
        self._shutdown_handled = False  # every handler was told
        self._return_code = 0
        CONSOLE.debug = debug

    def include_launch_description(self, launch_description: LaunchDescription) -> None:
        """Add a description to be executed."""
        self._pending.append(launch_description)

    def run(self) -> int:
        """Execute until every process has ended; return 0, or 1 after an exception or SIGTERM."""
        CONSOLE.open()
        return asyncio.run(self._run())

    async def _run(self) -> int:
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self.context.start(queue)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self._on_sigint)
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._on_sigterm, number)
        for description in self._pending:
            queue.put_nowait(_Include(description))
        while True:
            if queue.empty() and not self.context.tasks:
                if self._shutting_down:
                    return self._return_code
                self._shut_down("idle")
            event = await queue.get()
            try:
                if event is not None:
                    self._process(event)
            except Exception as error:
                # The launch must end whatever a launch file raised: report, and shut down.
                message = f"Caught exception in launch (see debug for traceback): {error}"
                self._logger.debug("".join(traceback.format_exception(error)))
                self._logger.error(message)
                self._return_code = 1
                self._shut_down(message)

    def _process(self, event: Event) -> None:
        context = self.context
        context.event = event
        if isinstance(event, TaskFailed):
            raise event.exception
        if isinstance(event, _Include):
            self._visit(event.description)
            self._warn_of_undeclared_arguments()
            return
        if isinstance(event, Shutdown):
            if self._shutdown_handled:
                return
            self._shutting_down = self._shutdown_handled = context.is_shutdown = True
        try:
            for handler in context.handlers_of(event):
                for entity in _as_list(handler.handle(event, context)):
                    self._visit(entity)
        finally:
            # Processes end even if a handler raised.
            self._process_signals(event)

    def _process_signals(self, event: Event) -> None:
        for process in list(reversed(self.context.processes)):
            if isinstance(event, Shutdown):
                # From a terminal, Ctrl-C has reached the whole process group already.
                sent = event.due_to_sigint and not self.context.noninteractive
                process.shut_down(self.context, send_sigint=not sent)
            elif isinstance(event, SignalProcess) and event.process_matcher(process):
                process.send_signal(event.signal)
            elif isinstance(event, ShutdownProcess) and event.process_matcher(process):
                process.shut_down(self.context, send_sigint=True)

    def _visit(self, entity: LaunchDescriptionEntity) -> None:
        if not isinstance(entity, LaunchDescriptionEntity):
            raise RuntimeError(f"expected an entity of a launch description, got {entity!r}")
        for child in entity.visit(self.context) or []:
            self._visit(child)

    def _shut_down(self, reason: str, *, due_to_sigint: bool = False) -> None:
        if not self._shutting_down:
            self._shutting_down = True
            self.context.is_shutdown = True
            self.context.emit_event_sync(Shutdown(reason=reason, due_to_sigint=due_to_sigint))

    def _on_sigint(self) -> None:
        message = "user interrupted with ctrl-c (SIGINT)"
        if self._shutting_down:
            self._logger.warning(f"{message} again, ignoring...")
            return
        self._logger.warning(message)
        self._shut_down("ctrl-c (SIGINT)", due_to_sigint=True)

    def _on_sigterm(self, number: signal.Signals) -> None:
        # Upstream leaves the processes behind here; ending them is what everybody wants.
        self._logger.error(f"received {signal.Signals(number).name}, shutting down")
        self._return_code = 1
        self._shut_down(signal.Signals(number).name)

    def _warn_of_undeclared_arguments(self) -> None:
        """Upstream is silent about arguments that nothing declares; a typing error hides there."""
        given = {argument.split(":=")[0] for argument in self.context.argv}
        undeclared = sorted(given - self.context.declared - _OWN_ARGUMENTS)
        if undeclared:
            self._logger.warning(
                f"nothing declares the launch argument(s) {', '.join(undeclared)} (see --show-args)"
            )


def _as_list(entities: object) -> list[LaunchDescriptionEntity]:
    if entities is None:
        return []
    if isinstance(entities, LaunchDescriptionEntity):
        return [entities]
    return [entity for entity in entities if entity is not None]
