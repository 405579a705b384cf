# SPDX-License-Identifier: Apache-2.0
"""The static check of the bridge's Python: imports, their order, and what is called on them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from salus_isaac.node_table import NodeTable, Problem, suggestion

FAMILIES = ("isaacsim", "omni", "pxr", "carb", "usdrt", "warp")
"""Top-level modules that only exist inside Isaac Sim."""
_APP = "isaacsim.SimulationApp"


def check_script(path: Path, table: NodeTable) -> list[Problem]:
    """Findings about one Python file.

    Args:
        path: of the file.
        table: what Isaac Sim has.
    """
    source = path.read_text()
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        return [Problem("syntax", f"{path.name}:{error.lineno}", str(error.msg))]
    found = _Script(path, tree, table)
    return sorted(found.problems(), key=lambda p: int(p.where.rpartition(":")[2]))


def package_scripts() -> list[Path]:
    """The files of this package that use Isaac Sim."""
    folder = Path(__file__).parent
    return [path for path in sorted(folder.glob("*.py")) if uses_isaac(path)]


def uses_isaac(path: Path, at_import: bool = False) -> bool:
    """Whether a file imports anything of Isaac Sim; `at_import`: outside functions."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if at_import else ast.walk(tree)
    return any(_family(name) for node in nodes for name in _imported(node))


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and not node.level:
        return [node.module or ""]
    return []


def _family(module: str) -> bool:
    return module.split(".")[0] in FAMILIES


class _Script:
    """One file: what its names stand for, and what is wrong with them."""

    def __init__(self, path: Path, tree: ast.Module, table: NodeTable) -> None:
        self._path, self._tree, self._table = path, tree, table
        self._names: dict[str, str] = {}  # local name -> dotted name
        self._objects: dict[str, str] = {}  # 'self._robot' or 'app' -> dotted class

    def problems(self) -> Iterator[Problem]:
        yield from self._check_imports()
        self._find_objects()
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Attribute):
                yield from self._check_attribute(node)
            if isinstance(node, ast.Call):
                yield from self._check_call(node)
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield from self._check_text(node)
        yield from self._check_order()

    def _problem(self, code: str, node: ast.AST, message: str) -> Problem:
        return Problem(code, f"{self._path.name}:{node.lineno}", message)

    def _check_imports(self) -> Iterator[Problem]:
        modules = self._table.modules
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    self._names[alias.asname or alias.name] = alias.name
                    yield from self._check_module(node, alias.name)
            if isinstance(node, ast.ImportFrom) and not node.level:
                for alias in node.names:
                    self._names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                wrong = list(self._check_module(node, node.module or ""))
                yield from wrong
                if wrong or not _family(node.module or ""):
                    continue
                known = modules[node.module]
                for alias in node.names:
                    if alias.name not in known and f"{node.module}.{alias.name}" not in modules:
                        text = f"{node.module} has no '{alias.name}'"
                        hint = suggestion(alias.name, known)
                        yield self._problem("unknown-name", node, text + hint)

    def _check_module(self, node: ast.AST, module: str) -> Iterator[Problem]:
        if not _family(module):
            return
        old = self._table.deprecated(module)
        if old:
            text = f"{module} is deprecated ({old}): use isaacsim.core.experimental and its like"
            yield self._problem("deprecated-module", node, text)
        elif module not in self._table.modules:
            text = f"Isaac Sim {self._table.version} has no module '{module}' in the table"
            yield self._problem(
                "unknown-module", node, text + suggestion(module, self._table.modules)
            )

    def _find_objects(self) -> None:
        for node in ast.walk(self._tree):
            value, targets = getattr(node, "value", None), []
            if isinstance(node, ast.Assign):
                targets = node.targets
            if isinstance(node, ast.AnnAssign):
                targets = [node.target]
            if not isinstance(value, ast.Call):
                continue
            made = self._dotted(value.func)
            for target in targets:
                if made in self._table.classes or made == _APP:
                    self._objects[ast.unparse(target)] = made

    def _dotted(self, node: ast.AST) -> str:
        """The dotted name that an expression stands for; '' if it is no plain name."""
        if isinstance(node, ast.Name):
            return self._names.get(node.id, "")
        if isinstance(node, ast.Attribute):
            whole = ast.unparse(node)
            if whole in self._names:
                return self._names[whole]
            base = self._dotted(node.value)
            return f"{base}.{node.attr}" if base else ""
        return ""

    def _check_attribute(self, node: ast.Attribute) -> Iterator[Problem]:
        owner = self._dotted(node.value)
        classes, modules = self._table.classes, self._table.modules
        if owner in classes or ast.unparse(node.value) in self._objects:
            kind = owner if owner in classes else self._objects[ast.unparse(node.value)]
            known = classes.get(kind, [])
            if known and node.attr not in known:
                text = f"{kind.rpartition('.')[2]} has no '{node.attr}'"
                yield self._problem("unknown-member", node, text + suggestion(node.attr, known))
        elif owner in modules and _family(owner):
            dotted = f"{owner}.{node.attr}"
            longer = any(name.startswith(dotted) for name in modules)
            if node.attr not in modules[owner] and not longer:
                text = f"{owner} has no '{node.attr}'"
                hint = suggestion(node.attr, modules[owner])
                yield self._problem("unknown-name", node, text + hint)

    def _check_call(self, node: ast.Call) -> Iterator[Problem]:
        called = self._dotted(node.func)
        if called == _APP and node.args and isinstance(node.args[0], ast.Dict):
            for key in node.args[0].keys:
                name = getattr(key, "value", None)
                if isinstance(name, str) and name not in self._table.app_settings:
                    text = f"SimulationApp has no setting '{name}'"
                    hint = suggestion(name, self._table.app_settings)
                    yield self._problem("unknown-setting", node, text + hint)
        if called.endswith(".enable_extension") and node.args:
            name = getattr(node.args[0], "value", None)
            if isinstance(name, str) and name not in self._table.extensions:
                text = f"Isaac Sim {self._table.version} has no extension '{name}' in the table"
                hint = suggestion(name, self._table.extensions)
                yield self._problem("unknown-extension", node, text + hint)

    def _check_text(self, node: ast.Constant) -> Iterator[Problem]:
        """Modules and node types that a script names in a text."""
        plain = all(part.isidentifier() for part in node.value.split("."))
        old = self._table.deprecated(node.value) if plain else ""
        if old:
            yield self._problem("deprecated-name", node, f"'{node.value}' is deprecated ({old})")

    def _check_order(self) -> Iterator[Problem]:
        """Where the file makes the SimulationApp: Isaac Sim's modules after it, rclpy last."""
        app = self._line_of(lambda call: self._dotted(call.func) == _APP)
        if app is None:
            return
        bridge = self._line_of(
            lambda call: (
                self._dotted(call.func).endswith(".enable_extension")
                and any(getattr(a, "value", "") == "isaacsim.ros2.bridge" for a in call.args)
            )
        )
        if bridge is None:
            text = "the extension isaacsim.ros2.bridge is never enabled"
            yield Problem("bridge-not-enabled", f"{self._path.name}:{app}", text)
        for node in ast.walk(self._tree):
            for module in _imported(node):
                names = [alias.name for alias in getattr(node, "names", ())]
                early = _family(module) and (module, names) != ("isaacsim", ["SimulationApp"])
                if (early or self._imports_isaac(module)) and node.lineno < app:
                    text = f"{module} is imported before the SimulationApp is made"
                    yield self._problem("import-order", node, text)
                if self._imports_ros(module) and node.lineno < (bridge or 0):
                    text = f"{module} imports rclpy before the bridge's extension is enabled"
                    yield self._problem("import-order", node, text)

    def _line_of(self, matches: Any) -> int | None:
        calls = (node for node in ast.walk(self._tree) if isinstance(node, ast.Call))
        return min((call.lineno for call in calls if matches(call)), default=None)

    def _imports_isaac(self, module: str) -> bool:
        beside = self._beside(module)
        return beside is not None and uses_isaac(beside, at_import=True)

    def _imports_ros(self, module: str) -> bool:
        if module.split(".")[0] in ("rclpy", "salus_ros") or module.endswith("_msgs.msg"):
            return True
        beside = self._beside(module)
        if beside is None:
            return False
        body = ast.parse(beside.read_text()).body
        return any(self._imports_ros(name) for node in body for name in _imported(node))

    def _beside(self, module: str) -> Path | None:
        """The file of a module of this package, if it lies beside the checked one's modules."""
        prefix = "salus_isaac."
        path = Path(__file__).parent / f"{module.removeprefix(prefix)}.py"
        return path if module.startswith(prefix) and path.is_file() else None
