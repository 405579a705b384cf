# SPDX-License-Identifier: Apache-2.0
"""Copies of a ROS message, each with one field at an extreme of its type."""

import copy
import re
from collections.abc import Iterator

LONGEST = 2000
"""Of a sequence without a bound."""
FLOATS = [float("nan"), float("inf"), -float("inf"), 0.0, -1.0, 3.4e38, -3.4e38, 1e-45]
INTEGERS = {
    f"{sign}int{bits}": [0, 1, 2**top - 1, *([-(2**top)] if not sign else [])]
    for sign in ("u", "")
    for bits in (8, 16, 32, 64)
    for top in [bits if sign else bits - 1]
}
VALUES = {
    **INTEGERS,
    "boolean": [False, True],
    "octet": [b"\0", b"\xff"],
    "float": FLOATS,
    "double": [*FLOATS, 1e308, -1e308, 5e-324],
    "string": ["", "x" * 20_000, "line\nbreak \u2028 é", "../../etc/passwd", "%s{0}"],
}
SEQUENCE = re.compile(r"sequence<(.+?)(?:, (\d+))?>$")
ARRAY = re.compile(r"(.+)\[(\d+)\]$")


def extremes(message) -> Iterator:
    """All copies of a message with one field changed, those of messages within it included."""
    for path, value in _changes(message):
        changed = copy.deepcopy(message)
        at = changed
        for part in path[:-1]:
            at = at[part] if isinstance(part, int) else getattr(at, part)
        setattr(at, path[-1], value)
        yield changed


def _changes(message) -> Iterator[tuple[tuple, object]]:
    for name, kind in message.get_fields_and_field_types().items():
        value = getattr(message, name)
        sequence, array = SEQUENCE.match(kind), ARRAY.match(kind)
        if kind in VALUES:
            yield from (((name,), extreme) for extreme in VALUES[kind])
        elif array and array[1] in VALUES:
            for extreme in VALUES[array[1]]:
                yield (name,), [extreme] * int(array[2])
        elif sequence and sequence[1] in VALUES:
            yield (name,), []
            most = int(sequence[2] or LONGEST)
            for extreme in VALUES[sequence[1]]:
                for length in {1, len(value), most if not isinstance(extreme, str) else 2}:
                    yield (name,), [extreme] * length
        elif sequence:
            yield (name,), []
            if len(value):
                most = int(sequence[2] or LONGEST)
                yield (name,), [copy.deepcopy(value[0]) for _ in range(most)]
                for path, extreme in _changes(value[0]):
                    yield (name, 0, *path), extreme
        elif hasattr(value, "get_fields_and_field_types"):
            for path, extreme in _changes(value):
                yield (name, *path), extreme
