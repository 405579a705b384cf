# SPDX-License-Identifier: Apache-2.0
"""Files from outside: where they may lie, and how large they may be."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

MAX_YAML = 1 << 20
"""Bytes of a YAML file."""


class PathError(ValueError):
    """A file lies elsewhere than allowed, or cannot be read; the message names it."""


def require_beneath(paths: Iterable[Path], folders: Sequence[str | Path], setting: str) -> None:
    """Check that paths, their links followed, lie in some folders or beneath them.

    Args:
        paths: that need not exist.
        folders: that are allowed.
        setting: that names them, for the message.

    Raises:
        PathError: a path does not, or its links lead in a circle.
    """
    allowed = [Path(folder).expanduser().resolve() for folder in folders]
    for path in paths:
        try:
            found = path.expanduser().resolve()
        except (OSError, RuntimeError, ValueError) as error:
            raise PathError(f"'{path}' cannot be followed: {error}") from error
        if not any(found.is_relative_to(folder) for folder in allowed):
            names = ", ".join(map(str, allowed)) or "none"
            leads = "" if found == path else f", which is {found},"
            raise PathError(f"'{path}'{leads} is not beneath the folders of {setting}: {names}")


def read_bounded(path: Path, limit: int) -> bytes:
    """Read a regular file of bounded size.

    Raises:
        PathError: it is missing, no regular file, larger, or cannot be read.
    """
    try:
        # Without O_NONBLOCK a named pipe would be waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise PathError(f"{path} is no regular file")
        with open(descriptor, "rb") as file:
            found = file.read(limit + 1)
    except OSError as error:
        raise PathError(f"{path} cannot be read: {error.strerror}") from error
    if len(found) > limit:
        raise PathError(f"{path} is larger than the {limit} bytes that are read")
    return found


def read_yaml(path: Path) -> Any:
    """Read a YAML file of at most MAX_YAML bytes.

    Raises:
        PathError: it cannot be read, or is not valid YAML.
    """
    return parse_yaml(read_bounded(path, MAX_YAML), str(path))


def parse_yaml(content: str | bytes, name: str) -> Any:
    """Parse YAML.

    Args:
        content: to parse.
        name: of the source, for the message.

    Raises:
        PathError: it is not valid.
    """
    import yaml  # only here: who reads no YAML does not wait for it

    try:
        return yaml.safe_load(content)
    # YAML raises others of a date that does not exist, of large numbers and of lists as keys.
    except (ValueError, TypeError, ArithmeticError, RecursionError, yaml.YAMLError) as error:
        said = " ".join(str(error).split())
        raise PathError(f"{name} is not valid YAML: {said[:500]}") from error
