# SPDX-License-Identifier: Apache-2.0
"""Which values and connections OmniGraph's attribute types accept, as far as names show it."""

from __future__ import annotations

from typing import Any

# Conversions that lose nothing; OmniGraph makes them on its own.
_WIDER = {
    "bool": {"int", "uint", "uint64", "int64", "float", "double"},
    "uchar": {"uint", "uint64", "int", "int64", "float", "double"},
    "int": {"int64", "double"},
    "uint": {"uint64", "int64", "double"},
    "float": {"double"},
}
_WHOLE = {
    "uchar": (0, 2**8),
    "int": (-(2**31), 2**31),
    "uint": (0, 2**32),
    "int64": (-(2**63), 2**63),
    "uint64": (0, 2**64),
}
_REAL = ("half", "float", "double")
_TEXT = ("string", "token", "path")


def connects(source: Any, target: Any) -> bool:
    """Whether an output of one type can be connected to an input of another.

    An unknown type (None) and 'any' accept everything but execution.
    """
    if source == target:
        return True
    if "execution" in (source, target):
        return False
    if source in (None, "any") or target in (None, "any"):
        return True
    if isinstance(source, list) or isinstance(target, list):
        given = set(source) if isinstance(source, list) else {source}
        wanted = set(target) if isinstance(target, list) else {target}
        return "numerics" in given | wanted or bool(given & wanted)
    return target in _WIDER.get(source, ())


def unfit_value(kind: Any, value: Any) -> str:
    """Why a Python value cannot be set on an attribute of this type; '' if it can."""
    if kind is None or isinstance(kind, list) or kind == "any":
        return ""
    if kind == "execution":
        return "an execution input takes no value"
    if kind == "bool":
        return "" if isinstance(value, bool) else "not a truth value"
    if kind in _WHOLE:
        low, high = _WHOLE[kind]
        if not isinstance(value, int) or isinstance(value, bool):
            return "not a whole number"
        return "" if low <= value < high else f"not within {low} to {high - 1}"
    if kind in _REAL:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return "" if number else "not a number"
    if kind in _TEXT:
        return "" if isinstance(value, str) else "not a text"
    if kind == "target":
        return _unfit_target(value)
    if kind.endswith("[]"):
        if not isinstance(value, list | tuple):
            return "not a list"
        return next(filter(None, (unfit_value(kind[:-2], element) for element in value)), "")
    return "" if isinstance(value, list | tuple) else "not a list of numbers"


def _unfit_target(value: Any) -> str:
    if not isinstance(value, list | tuple) or not value:
        return "not a list of prim paths"
    wrong = [path for path in value if not isinstance(path, str) or not path.startswith("/")]
    return f"{wrong[0]!r} is no absolute prim path" if wrong else ""
