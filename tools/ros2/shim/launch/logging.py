# SPDX-License-Identifier: Apache-2.0
"""What a launch prints and logs, in upstream's format."""

import os
import socket
import sys
import time
from datetime import datetime
from pathlib import Path

_COLOURS = {"DEBUG": "\033[32m", "WARNING": "\033[33m", "ERROR": "\033[31m"}


class Console:
    """Prints on standard output and keeps launch.log."""

    def __init__(self) -> None:
        self.debug = False
        self.folder: Path | None = None
        self._file = None

    def open(self) -> None:
        """Make the log folder below $ROS_LOG_DIR, $ROS_HOME/log or ~/.ros/log."""
        home = os.environ.get("ROS_HOME") or "~/.ros"
        root = Path(os.environ.get("ROS_LOG_DIR") or f"{home}/log").expanduser()
        stamp = datetime.now().strftime("%Y-%m-%d-%H-%M-%S-%f")
        self.folder = root / f"{stamp}-{socket.gethostname()}-{os.getpid()}"
        try:
            self.folder.mkdir(parents=True)
            # Line by line, so that the log is complete when launch is killed.
            self._file = (self.folder / "launch.log").open("w", buffering=1)
        except OSError as error:
            self.folder = None
            self.log("WARNING", "launch", f"no log is written: {error}")
            return
        self.log("INFO", "launch", f"All log files can be found below {self.folder}")

    def log(self, level: str, name: str, message: str) -> None:
        """Print a line of launch itself."""
        if level == "DEBUG" and not self.debug:
            return
        tag = f"[{level}]"
        if sys.stdout.isatty() and level in _COLOURS:
            tag = f"{_COLOURS[level]}{tag}\033[0m"
        self._print(f"{tag} [{name}]: {message}")
        self._keep(f"[{level}] [{name}]: {message}")

    def process_line(self, name: str, line: str, sinks: frozenset[str]) -> None:
        """Pass a line of a process to the screen, launch.log and its own log."""
        if "screen" in sinks:
            self._print(f"[{name}] {line}")
        if "log" in sinks:
            self._keep(f"[{name}] {line}")
        if "own" in sinks and self.folder is not None:
            with (self.folder / f"{name}-std.log").open("a") as file:
                file.write(line + "\n")

    def _print(self, text: str) -> None:
        try:
            print(text, flush=True)
        except BrokenPipeError:
            # The reader has gone (| head): the launch goes on, only nobody reads it.
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115

    def _keep(self, text: str) -> None:
        if self._file is not None:
            self._file.write(f"{time.time():.7f} {text}\n")


CONSOLE = Console()


class Logger:
    """The few methods of a logger that launch files use."""

    def __init__(self, name: str):
        self._name = name

    def debug(self, message: object) -> None:
        """Print if --debug was given."""
        CONSOLE.log("DEBUG", self._name, str(message))

    def info(self, message: object) -> None:
        """Print."""
        CONSOLE.log("INFO", self._name, str(message))

    def warning(self, message: object) -> None:
        """Print as a warning."""
        CONSOLE.log("WARNING", self._name, str(message))

    def error(self, message: object) -> None:
        """Print as an error."""
        CONSOLE.log("ERROR", self._name, str(message))


def get_logger(name: str = "launch") -> Logger:
    """Return the logger of a part of a launch."""
    return Logger(name)
