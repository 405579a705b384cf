# SPDX-License-Identifier: Apache-2.0
"""Messages as text, and text as messages."""

import array
from typing import Any

import numpy as np
import yaml

from .cli import UsageError


def to_plain(value: Any, *, length: int | None = None, arrays: bool = True, strings: bool = True):
    """Return a message as dictionaries and lists, cut to `length` elements if that is given."""

    def shorten(items: list) -> list:
        if length is not None and len(items) > length:
            return [*items[:length], "..."]
        return items

    if hasattr(value, "get_fields_and_field_types"):
        return {
            name: to_plain(getattr(value, name), length=length, arrays=arrays, strings=strings)
            if not isinstance(getattr(value, name), str) or strings
            else f"<string length: <{len(getattr(value, name))}>>"
            for name in value.get_fields_and_field_types()
        }
    if isinstance(value, str):
        return value if length is None or len(value) <= length else value[:length] + "..."
    if isinstance(value, (list, tuple, array.array, np.ndarray, bytes)):
        if not arrays:
            return f"<sequence length: {len(value)}>"
        head = value if length is None else value[: length + 1]
        return shorten([to_plain(item, length=length) for item in head])
    if isinstance(value, np.generic):
        return value.item()
    return value


def to_yaml(value: Any, *, flow_style: bool = False, **options: Any) -> str:
    """Return a message as YAML."""
    return yaml.safe_dump(
        to_plain(value, **options),
        sort_keys=False,
        allow_unicode=True,
        width=float("inf"),
        default_flow_style=flow_style,
    )


def to_csv(value: Any, **options: Any) -> str:
    """Return all fields, separated by commas."""

    def leaves(plain: Any):
        if isinstance(plain, (dict, list)):
            for item in plain.values() if isinstance(plain, dict) else plain:
                yield from leaves(item)
        else:
            yield str(plain)

    return ",".join(leaves(to_plain(value, **options)))


def parse_yaml(text: str) -> Any:
    """Read YAML from the command line.

    Raises:
        UsageError: it is not YAML.
    """
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"cannot read '{text}' as YAML: {error}") from None


def fill(message: Any, values: dict[str, Any]) -> None:
    """Set fields of a message from dictionaries.

    Raises:
        UsageError: no such field, or the value does not fit.
    """
    fields = message.get_fields_and_field_types()
    for name, value in (values or {}).items():
        if name not in fields:
            raise UsageError(f"'{type(message).__name__}' has no field '{name}'")
        current = getattr(message, name)
        if hasattr(current, "get_fields_and_field_types"):
            fill(current, value)
            continue
        try:
            if isinstance(current, float):
                value = float(value)
            setattr(message, name, value)
        except (AssertionError, TypeError, ValueError) as error:
            raise UsageError(f"field '{name}' ({fields[name]}): {error}") from None
