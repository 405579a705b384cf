# SPDX-License-Identifier: Apache-2.0
"""What Isaac Sim 6.0.1 has: node types with their attributes, modules, classes, extensions.

The table is a data file of this package, taken from the Isaac Sim 6.0.1 extension descriptions.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from importlib.resources import files
from typing import Any

TABLE_FILE = "isaac_sim_6_0_1.json"
EXECUTION = "execution"


@dataclass(frozen=True)
class Problem:
    """One finding of a check.

    Attributes:
        code: what kind of mistake, for tests and for searching the documentation.
        where: node, attribute, connection or file and line.
        message: what is wrong and what to do.
    """

    code: str
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message} [{self.code}]"


class NodeTable:
    """The table with the questions that the checks ask of it."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.origin: str = data["origin"]
        self.version: str = data["isaac_sim"]
        self.nodes: dict[str, dict[str, Any]] = data["nodes"]
        self.modules: dict[str, list[str]] = data["modules"]
        self.classes: dict[str, list[str]] = data["classes"]
        self.deprecated_modules: list[str] = data["deprecated_modules"]
        self.app_settings: list[str] = data["simulation_app_settings"]
        self.qos_keys: dict[str, str] = data["qos"]["keys"]
        self.qos_allowed: dict[str, list[str]] = data["qos"]["allowed"]
        self._extensions: dict[str, list[str]] = data["extensions"]

    @classmethod
    def load(cls) -> NodeTable:
        """The table that comes with the package."""
        return cls(json.loads((files("salus_isaac") / TABLE_FILE).read_text()))

    @cached_property
    def extensions(self) -> set[str]:
        """Every extension that the table knows of."""
        named = {name for needed in self._extensions.values() for name in needed}
        return named | set(self._extensions)

    def enabled_by(self, extension: str) -> set[str]:
        """An extension and all that it brings with it."""
        found, waiting = set(), [extension]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += self._extensions.get(name, [])
        return found

    def attributes(self, node_type: str, side: str) -> dict[str, dict[str, Any]]:
        """Attributes of a node type by name; `side` is 'inputs', 'outputs' or 'state'."""
        return self.nodes.get(node_type, {}).get(side, {})

    def attribute_type(self, node_type: str, side: str, name: str) -> str | list | None:
        """Type of an attribute; None where the descriptions do not say."""
        return self.attributes(node_type, side).get(name, {}).get("type")

    def message_type(self, node_type: str, values: dict[str, Any]) -> str:
        """The ROS message that a node publishes or takes with these input values; '' is none."""
        node = self.nodes.get(node_type, {})
        if "ros_message_by_type" in node:
            return node["ros_message_by_type"].get(values.get("type", "rgb"), "")
        return node.get("ros_message", "")

    def deprecated(self, name: str) -> str:
        """The deprecated module that a dotted name lies in; '' is none."""
        for module in self.deprecated_modules:
            if name == module or name.startswith(f"{module}."):
                return module
        return ""


def suggestion(name: str, known: Any) -> str:
    """'; did you mean ...?' if something known is close."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""


def split_attribute(text: str) -> tuple[str, str, str]:
    """'node.inputs:name' as ('node', 'inputs', 'name'); missing parts are ''."""
    node, _, rest = text.partition(".")
    side, _, name = rest.partition(":")
    return node, side, name
