# SPDX-License-Identifier: Apache-2.0
"""Strict reading of the numbers in a mapping of JSON values."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import Any

import numpy as np

LARGEST = 1e100
"""Of a number that is read: products of a few of them stay finite."""


def entry(content: Any, name: str) -> Any:
    """An entry of a mapping.

    Raises:
        ValueError: it is missing, or `content` is no mapping.
    """
    if not isinstance(content, Mapping):
        raise ValueError(f"must be a mapping with '{name}', is {reprlib.repr(content)}")
    if name not in content:
        raise ValueError(f"'{name}' is missing")
    return content[name]


def numbers(
    content: Any,
    name: str,
    shape: tuple[int | None, ...] = (),
    low: float = -LARGEST,
    high: float = LARGEST,
    missing: bool = False,
) -> np.ndarray:
    """An entry that is a number, or lists of numbers.

    Args:
        content: a mapping.
        name: of its entry.
        shape: of the result; None: any length from 1 on.
        low: least value that is accepted.
        high: largest one.
        missing: None is accepted and becomes NaN.

    Returns:
        float64 of that shape.

    Raises:
        ValueError: it is missing, of another shape, or one of its values is no finite number
            between the bounds; names the entry.
    """
    level, found = [entry(content, name)], []
    for axis, length in enumerate(shape):
        sizes = {len(row) if isinstance(row, list) else -1 for row in level}
        size = sizes.pop()
        if sizes or size < 1 or length not in (None, size):
            wanted = " x ".join("n" if edge is None else str(edge) for edge in shape)
            got = "no list" if size < 0 else "lists of several lengths" if sizes else f"{size}"
            raise ValueError(f"'{name}' must hold {wanted} numbers: axis {axis} is {got}")
        found.append(size)
        level = [value for row in level for value in row]
    for value in level:
        if missing and value is None:
            continue
        if type(value) not in (int, float) or not max(low, -LARGEST) <= value <= min(high, LARGEST):
            raise ValueError(
                f"'{name}' must hold finite numbers between {low:g} and {high:g}, holds "
                f"{reprlib.repr(value)}"
            )
    return np.array(level, float).reshape(found)


def strings(content: Any, name: str) -> tuple[str, ...]:
    """An entry that is a list of strings.

    Raises:
        ValueError: it is missing or something else; names the entry.
    """
    found = entry(content, name)
    if not isinstance(found, list) or not all(isinstance(value, str) for value in found):
        raise ValueError(f"'{name}' must be a list of strings, is {reprlib.repr(found)}")
    return tuple(found)


def choice(content: Any, name: str, known: tuple[str, ...]) -> str:
    """An entry that is one of a few strings.

    Raises:
        ValueError: it is missing or another; names those that are known.
    """
    found = entry(content, name)
    if not isinstance(found, str) or found not in known:
        raise ValueError(f"'{name}' is {reprlib.repr(found)}: use one of {', '.join(known)}")
    return found
