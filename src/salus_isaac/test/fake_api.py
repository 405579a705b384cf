# SPDX-License-Identifier: Apache-2.0
"""Modules named as Isaac Sim's, with the names that the table lists, that record what is called.

Classes whose methods the table lists have just these. All other names (functions, pxr, the graph's
controller) are MagicMocks, which have any attribute. So the tests show that listed methods exist
and in which order calls come, not that they do anything, nor that the rest exists.
"""

import sys
import types
from unittest.mock import MagicMock

import numpy as np

from salus_isaac.node_table import NodeTable


class Array:
    """What the API returns: numpy only by its method."""

    def __init__(self, values):
        self._values = np.asarray(values, dtype=float)

    def numpy(self):
        return self._values


def api_class(name, members, calls, answers):
    """A class with these methods only; each call is recorded as (class, method, paths, args)."""

    def constructor(self, paths="", *args, **kwargs):
        self._of = paths
        calls.append((name, "__init__", paths, args, kwargs))

    def method(member):
        def call(self, *args, **kwargs):
            calls.append((name, member, getattr(self, "_of", ""), args, kwargs))
            answer = answers.get(member)
            return answer(self) if callable(answer) else answer

        return call

    body = {"__init__": constructor}
    for member in members:
        if member == "dof_names":
            body[member] = property(lambda self: answers["dof_names"])
        elif member.isupper():
            body[member] = member
        elif name.endswith("Manager"):
            function = method(member)
            body[member] = classmethod(function)
        else:
            body[member] = method(member)
    return type(name, (), body)


def install(monkeypatch, answers):
    """Put the modules in place; return the list of calls."""
    table, calls = NodeTable.load(), []
    for module in table.modules:
        if module.split(".")[0] in ("numpy", "rclpy"):
            continue
        parts = module.split(".")
        for end in range(1, len(parts) + 1):
            name = ".".join(parts[:end])
            if name not in sys.modules or not hasattr(sys.modules[name], "of_fake_api"):
                made = types.ModuleType(name)
                made.of_fake_api, made.__path__ = True, []
                monkeypatch.setitem(sys.modules, name, made)
            if end > 1:
                parent = sys.modules[".".join(parts[: end - 1])]
                setattr(parent, parts[end - 1], sys.modules[name])
    for module, names in table.modules.items():
        if module.split(".")[0] in ("numpy", "rclpy"):
            continue
        for name in names:
            dotted = f"{module}.{name}"
            if dotted in table.classes:
                thing = api_class(name, table.classes[dotted], calls, answers)
            else:
                thing = recorder(name, calls, answers)
            setattr(sys.modules[module], name, thing)
    return calls


def recorder(name, calls, answers):
    def record(*args, **kwargs):
        calls.append(("", name, "", args, kwargs))
        return answers[name] if name in answers else MagicMock(name=name)

    return MagicMock(name=name, side_effect=record)
