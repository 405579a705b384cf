# SPDX-License-Identifier: Apache-2.0
"""The action that runs a process, prints its output and ends it in order."""

import asyncio
import ctypes
import itertools
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ._conditions import IfCondition
from ._core import Action, LaunchContext, SomeSubstitutionsType, normalize, perform
from ._event_handlers import OnProcessExit
from ._substitutions import LaunchConfiguration
from .events.process import ProcessExited, ProcessStarted
from .logging import CONSOLE, get_logger

_serial = itertools.count(1)
_PR_SET_PDEATHSIG = 1
_SINKS = {  # of standard output and standard error, as upstream names the choices
    "screen": ({"screen"}, {"screen"}),
    "log": ({"log"}, {"log", "screen"}),
    "both": ({"log", "screen"}, {"log", "screen"}),
    "own_log": ({"own"}, {"own"}),
    "full": ({"log", "screen", "own"}, {"log", "screen", "own"}),
}


def _die_with_parent() -> None:
    """Ask Linux to end this process when launch dies without being able to end it (kill -9)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class _Lines(asyncio.Protocol):
    """Splits what a process writes into lines, of any length."""

    def __init__(self, emit: Callable[[str], None]):
        self._emit, self._rest = emit, b""
        self.closed = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._emit(line.rstrip(b"\r").decode(errors="replace"))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._rest:
            self._emit(self._rest.decode(errors="replace"))
        if not self.closed.done():
            self.closed.set_result(None)


class ExecuteProcess(Action):
    """Runs a command; `on_exit` takes entities or a function like OnProcessExit's."""

    def __init__(
        self,
        *,
        cmd: Iterable[SomeSubstitutionsType],
        name: SomeSubstitutionsType | None = None,
        prefix: SomeSubstitutionsType | None = None,
        cwd: SomeSubstitutionsType | None = None,
        env: dict[Any, Any] | None = None,
        additional_env: dict[Any, Any] | None = None,
        shell: bool = False,
        output: SomeSubstitutionsType | dict[str, str] = "log",
        emulate_tty: bool = False,
        log_cmd: bool = False,
        on_exit: Any = None,
        sigterm_timeout: SomeSubstitutionsType | None = None,
        sigkill_timeout: SomeSubstitutionsType | None = None,
        respawn: bool | SomeSubstitutionsType = False,
        respawn_delay: float | None = None,
        respawn_max_retries: int = -1,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.cmd = [normalize(part) for part in cmd]
        self._name, self._prefix, self._cwd = name, prefix, cwd
        self._env, self._additional_env = env, additional_env
        self._shell, self._output, self._emulate_tty = shell, output, emulate_tty
        self._log_cmd, self._on_exit = log_cmd, on_exit
        self._timeouts = [
            LaunchConfiguration(key, default=5) if given is None else given
            for key, given in (
                ("sigterm_timeout", sigterm_timeout),
                ("sigkill_timeout", sigkill_timeout),
            )
        ]
        self._respawn, self._respawn_delay = respawn, respawn_delay
        self._respawn_max_retries = respawn_max_retries
        self._process: asyncio.subprocess.Process | None = None
        self._stopping: asyncio.Event | None = None
        self.process_details: dict[str, Any] | None = None

    def command(self, context: LaunchContext) -> list[str]:
        """Return the command line."""
        return [perform(context, part) for part in self.cmd]

    def execute(self, context: LaunchContext) -> None:
        """Start the process, unless a shutdown has begun.

        Raises:
            RuntimeError: the action was executed before.
        """
        if self.process_details is not None:
            raise RuntimeError(f"{self.process_details['name']}: executed more than once")
        command = self.command(context)
        if context.is_shutdown:
            return
        prefix = self._prefix or LaunchConfiguration("launch-prefix", default="")
        command = [*shlex.split(perform(context, prefix)), *command]
        label = perform(context, self._name) if self._name else Path(command[0].split()[0]).name
        self.process_details = {
            "action": self,
            "name": f"{label}-{next(_serial)}",
            "cmd": command,
            "cwd": perform(context, self._cwd) if self._cwd else None,
            "env": self._environment(context),
        }
        run = self._run(context, self._sinks(context), self._settings(context))
        if self._on_exit is not None:
            handler = OnProcessExit(target_action=self, on_exit=self._on_exit)
            context.register_event_handler(handler)
        self._stopping = asyncio.Event()
        context.processes.append(self)
        context.create_task(run)

    def _environment(self, context: LaunchContext) -> dict[str, str]:
        base = context.environment
        if self._env is not None:
            base = {perform(context, k): perform(context, v) for k, v in self._env.items()}
        more = self._additional_env or {}
        return {**base, **{perform(context, k): perform(context, v) for k, v in more.items()}}

    def _sinks(self, context: LaunchContext) -> list[frozenset[str]]:
        output = os.environ.get("OVERRIDE_LAUNCH_PROCESS_OUTPUT") or self._output
        if isinstance(output, dict):
            return [
                frozenset([output.get(s, output.get("both", "log"))]) for s in ("stdout", "stderr")
            ]
        choice = perform(context, output)
        if choice not in _SINKS:
            raise ValueError(f"output '{choice}': choose one of {', '.join(_SINKS)}")
        return [frozenset(sinks) for sinks in _SINKS[choice]]

    def _settings(self, context: LaunchContext) -> dict[str, Any]:
        """Perform what the process needs later, while its scope is still open."""

        def truth(value: bool | SomeSubstitutionsType) -> bool:
            return value if isinstance(value, bool) else IfCondition(value).evaluate(context)

        tty = context.launch_configurations.get("emulate_tty", self._emulate_tty)
        self._seconds = [
            float(perform(context, t if not isinstance(t, (int, float)) else str(t)))
            for t in self._timeouts
        ]
        return {"tty": truth(tty), "respawn": truth(self._respawn)}

    async def _run(self, context: LaunchContext, sinks: list, settings: dict[str, Any]) -> None:
        logger = get_logger(self.process_details["name"])
        retries = 0
        while True:
            started = await self._run_once(context, sinks, settings["tty"])
            again = (
                started
                and settings["respawn"]
                and not context.is_shutdown
                and not self._stopping.is_set()
                and (self._respawn_max_retries < 0 or retries < self._respawn_max_retries)
            )
            if not again:
                break
            retries += 1
            stop = asyncio.create_task(self._stopping.wait())
            await asyncio.wait([stop], timeout=self._respawn_delay or 0.0)
            stop.cancel()
            if self._stopping.is_set():
                break
        logger.debug("is done")
        context.processes.remove(self)

    async def _run_once(self, context: LaunchContext, sinks: list, tty: bool) -> bool:
        details = self.process_details
        logger = get_logger(details["name"])
        command, loop = details["cmd"], asyncio.get_running_loop()
        if self._log_cmd:
            logger.info(f"process details: cmd='{' '.join(command)}', cwd='{details['cwd']}'")
        if self._stopping.is_set():
            return False
        pipes = [os.openpty() if tty else os.pipe() for _ in sinks]
        try:
            args = ["/bin/sh", "-c", " ".join(command)] if self._shell else command
            self._process = await asyncio.create_subprocess_exec(
                *args,
                stdin=subprocess.DEVNULL if context.noninteractive else None,
                stdout=pipes[0][1],
                stderr=pipes[1][1],
                cwd=details["cwd"],
                env=details["env"],
                preexec_fn=_die_with_parent,
            )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            for reader, _ in pipes:
                os.close(reader)
            logger.error(f"cannot start {' '.join(command)}: {error}")
            return False
        finally:
            for _, writer in pipes:
                os.close(writer)
        details["pid"] = self._process.pid
        logger.info(f"process started with pid [{self._process.pid}]")
        context.emit_event_sync(ProcessStarted(**details))
        protocols = []
        for (reader, _), sink in zip(pipes, sinks, strict=True):
            lines = _Lines(self._emitter(details["name"], sink))
            await loop.connect_read_pipe(lambda lines=lines: lines, os.fdopen(reader, "rb", 0))
            protocols.append(lines)
        returncode = await self._process.wait()
        # A grandchild may keep the pipes open: what is there is read, but nobody waits for it.
        await asyncio.wait([protocol.closed for protocol in protocols], timeout=0.5)
        if returncode == 0:
            logger.info(f"process has finished cleanly [pid {self._process.pid}]")
        else:
            logger.error(
                f"process has died [pid {self._process.pid}, exit code {returncode}, "
                f"cmd '{' '.join(command)}']."
            )
        context.emit_event_sync(ProcessExited(**details, returncode=returncode))
        return True

    def _emitter(self, name: str, sink: frozenset[str]) -> Callable[[str], None]:
        return lambda line: CONSOLE.process_line(name, line, sink)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal if the process runs."""
        if self._process is not None and self._process.returncode is None:
            get_logger(self.process_details["name"]).info(
                f"sending signal '{number.name}' to process[{self.process_details['name']}]"
            )
            self._process.send_signal(number)

    def shut_down(self, context: LaunchContext, *, send_sigint: bool) -> None:
        """Begin to end the process: SIGINT, later SIGTERM, at last SIGKILL."""
        if not self._stopping.is_set():
            self._stopping.set()
            context.create_task(self._escalate(send_sigint))

    async def _escalate(self, send_sigint: bool) -> None:
        if self._process is None or self._process.returncode is not None:
            return
        if send_sigint:
            self.send_signal(signal.SIGINT)
        name = self.process_details["name"]
        steps = [(signal.SIGINT, signal.SIGTERM), (signal.SIGTERM, signal.SIGKILL)]
        for seconds, (sent, escalation) in zip(self._seconds, steps, strict=True):
            try:
                await asyncio.wait_for(self._process.wait(), seconds)
                return
            except TimeoutError:
                get_logger(name).error(
                    f"process[{name}] failed to terminate '{seconds:g}' seconds after receiving "
                    f"'{sent.name}', escalating to '{escalation.name}'"
                )
                self.send_signal(escalation)

    @property
    def return_code(self) -> int | None:
        """Exit code of the process, None while it runs."""
        return None if self._process is None else self._process.returncode
