# SPDX-License-Identifier: Apache-2.0
"""Folders that a request from outside may name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path


class FolderError(ValueError):
    """A path lies outside the folders that are allowed; the message names both."""


def require_beneath(paths: Iterable[Path], folders: Sequence[str | Path], setting: str) -> None:
    """Check that paths, their links followed, lie in some folders or beneath them.

    Args:
        paths: that need not exist.
        folders: that are allowed.
        setting: that names them, for the message.

    Raises:
        FolderError: a path does not, or its links lead in a circle.
    """
    allowed = [Path(folder).expanduser().resolve() for folder in folders]
    for path in paths:
        try:
            found = path.expanduser().resolve()
        except (OSError, RuntimeError, ValueError) as error:
            raise FolderError(f"'{path}' cannot be followed: {error}") from error
        if not any(found.is_relative_to(folder) for folder in allowed):
            names = ", ".join(map(str, allowed)) or "none"
            leads = "" if found == path else f", which is {found},"
            raise FolderError(f"'{path}'{leads} is not beneath the folders of {setting}: {names}")
