# SPDX-License-Identifier: Apache-2.0
"""Where a command meets its user: text in UTF-8, refusals in one line, outputs tried first."""

from __future__ import annotations

import codecs
import contextlib
import errno
import functools
import io
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

AS_IT_CAME = "salus_as_it_came"
"""Handler of errors of encoding: names of files keep their bytes, be they text or not."""


def _as_it_came(error: UnicodeError) -> tuple[str | bytes, int]:
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.lookup_error("backslashreplace")(error)


codecs.register_error(AS_IT_CAME, _as_it_came)

Main = Callable[..., int]

_READERS = {"json", "lz4", "mcap", "numcodecs", "rosbags", "safetensors", "safetensors_rust"}
_READERS |= {"yaml", "zarr", "zipfile", "zlib", "zstandard"}
"""Packages whose exceptions say that a file is wrong."""

_REMEDIES = {
    errno.ENOSPC: "free some space, or write elsewhere",
    errno.EDQUOT: "free some space, or write elsewhere",
    errno.EACCES: "choose a place that you may read and write",
    errno.EPERM: "choose a place that you may read and write",
    errno.EROFS: "choose a place that you may write",
    errno.ENOENT: "check the path",
    errno.EISDIR: "name a file",
    errno.ENOTDIR: "name a folder",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "allow more open files (ulimit -n)",
}


class OutputError(ValueError):
    """What was asked for cannot be written; the message says where and what is kept."""


def command(name: str, kept: str = "") -> Callable[[Main], Main]:
    """Make the boundary of a command around its main function.

    Refusals of a file, a value or the disk, which are SALUS's own errors, OSError and what the
    readers of files raise, become the line 'salus NAME: what; remedy' and exit code 1. An interrupt
    gives 130. A reader of the output that went away (`| head`) gives 141, as in a shell, silently.
    Every other exception is a programming error and keeps its traceback.

    Args:
        name: of the command.
        kept: how to go on after an interrupt or a full disk; empty: begin again.
    """

    def wrap(main: Main) -> Main:
        @functools.wraps(main)
        def run(argv: list[str] | None = None) -> int:
            write_utf8()
            formatwarning = warnings.formatwarning
            warnings.formatwarning = lambda message, *_: f"WARNING: {in_a_line(message)}\n"
            try:
                code = main(argv)
                sys.stdout.flush()
                return code
            except BrokenPipeError:
                _drop_stdout()
                return 128 + signal.SIGPIPE
            except KeyboardInterrupt:
                _say(name, f"stopped; {kept}" if kept else "stopped")
                return 128 + signal.SIGINT
            except Exception as error:
                if not is_refusal(error):
                    raise
                text = in_a_line(error)
                _say(name, f"{text}; then {kept}" if kept and _disk_is_full(error) else text)
                return 1
            finally:
                warnings.formatwarning = formatwarning
                _settle_stdout()

        return run

    return wrap


def write_utf8() -> None:
    """Let standard output and error write UTF-8, whatever the locale."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors=AS_IT_CAME)


def is_refusal(error: BaseException) -> bool:
    """Whether an exception says that a file, a value or the disk is wrong."""
    package = type(error).__module__.partition(".")[0]
    return (
        isinstance(error, OSError | UnicodeError | EOFError | FloatingPointError | MemoryError)
        or package in _READERS
        or package.startswith("salus_")
    )


def in_a_line(error: BaseException | str) -> str:
    """What an error says, with the file and a remedy if it names an error of the system."""
    if isinstance(error, MemoryError):
        return f"out of memory: {error}; use fewer runs or episodes at once"
    text = " ".join(str(error).split()) or type(error).__name__
    if not isinstance(error, OSError):
        return text
    if error.strerror and type(error).__module__ == "builtins":
        files = [os.fsdecode(file) for file in (error.filename, error.filename2) if file]
        text = ": ".join([*(str(file) for file in files), error.strerror])
    remedy = _REMEDIES.get(error.errno or 0)
    return f"{text}; {remedy}" if remedy and ";" not in text else text


def _disk_is_full(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        # safetensors says it in words.
        if "os error 28" in str(error):
            return True
        error = error.__cause__
    return False


def require_folder(path: Path | str, option: str = "--output") -> None:
    """Try, before a long computation, whether files can be written into a folder.

    Args:
        path: of a folder that need not exist; nothing is left behind.
        option: that names it, for the message.

    Raises:
        OutputError: they cannot; says why.
    """
    path = Path(path)
    there = path.expanduser().absolute()
    try:
        while not (there.exists() or there.is_symlink()):
            there = there.parent
        if not there.is_dir():
            raise OutputError(f"{option} {path}: {there} is no folder; name a folder")
        with tempfile.NamedTemporaryFile(dir=there, prefix=".salus_") as file:
            file.write(b"0" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "choose another place")
        raise OutputError(f"{option} {path}: {error.strerror or error}; {remedy}") from error


def require_file(path: Path | str, option: str = "--output") -> None:
    """Try, before a long computation, whether a file can be written.

    Raises:
        OutputError: it cannot; says why.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise OutputError(f"{option} {path}: is no regular file; name a file")
    if not (parent := path.absolute().parent).is_dir():
        raise OutputError(f"{option} {path}: {parent} is no folder; make it, or name another")
    try:
        require_folder(parent, option)
    except OutputError as error:
        raise OutputError(f"{option} {path}: {str(error).partition(': ')[2]}") from error
    if path.exists() and not os.access(path, os.W_OK):
        raise OutputError(f"{option} {path}: {os.strerror(errno.EACCES)}; name another file")


def written(document: Any, folder: Path, *names: str) -> str:
    """Write a report; if the disk refuses, print what it says instead.

    Args:
        document: with a method `write(folder, *names)`, which returns its text, and `text()`.
        folder: to write into.
        names: passed on.

    Raises:
        OutputError: it could not be written; its figures are on standard output.
    """
    try:
        return str(document.write(folder, *names))
    except OSError as error:
        print(document.text())
        raise OutputError(
            f"{in_a_line(error)}; the figures were computed, and are printed instead"
        ) from error


def _say(name: str, text: str) -> None:
    try:
        sys.stdout.flush()
    except OSError:
        _drop_stdout()
    with contextlib.suppress(OSError):  # nobody may listen; the exit code says it, too
        print(f"salus {name}: {text}", file=sys.stderr, flush=True)


def _settle_stdout() -> None:
    """Nothing is left for the interpreter's end, which could only fail without a word."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        _drop_stdout()


def _drop_stdout() -> None:
    try:
        number = sys.stdout.fileno()
    except (OSError, ValueError, AttributeError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)
