# SPDX-License-Identifier: Apache-2.0
"""Substitutions that Python launch files use."""

import importlib
import math
import os
from collections.abc import Iterable

from ._core import (
    LaunchContext,
    SomeSubstitutionsType,
    Substitution,
    normalize,
    perform,
)


class SubstitutionFailure(RuntimeError):  # noqa: N818 - the name is upstream's
    """A substitution has no value."""


def as_bool(text: str) -> bool:
    """Read 'true', '1', 'false' or '0', in any case."""
    word = text.strip().lower()
    if word in ("true", "1"):
        return True
    if word in ("false", "0"):
        return False
    raise SubstitutionFailure(f"expected true, false, 1 or 0, got '{text}'")


class LaunchConfiguration(Substitution):
    """The value of a launch argument."""

    def __init__(self, variable_name: SomeSubstitutionsType, *, default: object = None):
        self._name = normalize(variable_name)
        self._default = default

    def perform(self, context: LaunchContext) -> str:
        """Return the value, else the default."""
        name = perform(context, self._name)
        if name in context.launch_configurations:
            return context.launch_configurations[name]
        if self._default is None:
            raise SubstitutionFailure(f"launch configuration '{name}' does not exist")
        if isinstance(self._default, (bool, int, float)):
            return str(self._default)
        return perform(context, self._default)

    def describe(self) -> str:
        """Return LaunchConfig('name')."""
        return f"LaunchConfig({' + '.join(part.describe() for part in self._name)})"


class PathJoinSubstitution(Substitution):
    """Path components, joined."""

    def __init__(self, substitutions: Iterable[SomeSubstitutionsType]):
        self._parts = [normalize(part) for part in substitutions]

    def perform(self, context: LaunchContext) -> str:
        """Return the path."""
        return os.path.join(*(perform(context, part) for part in self._parts))

    def describe(self) -> str:
        """Return PathJoin(...)."""
        return f"PathJoin({', '.join(_describe(part) for part in self._parts)})"


class PythonExpression(Substitution):
    """A Python expression, evaluated with the names of `math` and the given modules."""

    def __init__(self, expression: SomeSubstitutionsType, python_modules: Iterable[str] = ()):
        self._expression = normalize(expression)
        self._modules = list(python_modules)

    def perform(self, context: LaunchContext) -> str:
        """Return str(value)."""
        names: dict[str, object] = {**vars(math), "math": math}
        for module in self._modules:
            names[module.split(".")[0]] = importlib.import_module(module)
        text = perform(context, self._expression)
        try:
            # Launch files are programs, so what they evaluate is as trusted as they are.
            return str(eval(text, names))
        except Exception as error:
            raise SubstitutionFailure(
                f"cannot evaluate the expression {text!r}: {error}"
            ) from error

    def describe(self) -> str:
        """Return PythonExpr(...)."""
        return f"PythonExpr({_describe(self._expression)})"


class EnvironmentVariable(Substitution):
    """The value of an environment variable."""

    def __init__(
        self, name: SomeSubstitutionsType, *, default_value: SomeSubstitutionsType | None = None
    ):
        self._name = normalize(name)
        self._default = default_value

    def perform(self, context: LaunchContext) -> str:
        """Return the value, else the default."""
        name = perform(context, self._name)
        if name in context.environment:
            return context.environment[name]
        if self._default is None:
            raise SubstitutionFailure(f"environment variable '{name}' does not exist")
        return perform(context, self._default)

    def describe(self) -> str:
        """Return EnvVar('name')."""
        return f"EnvVar({_describe(self._name)})"


class ThisLaunchFile(Substitution):
    """The path of the launch file being visited."""

    def perform(self, context: LaunchContext) -> str:
        """Return the path."""
        if not context.launch_files:
            raise SubstitutionFailure(f"{type(self).__name__} used outside of a launch file")
        return str(context.launch_files[-1])


class ThisLaunchFileDir(ThisLaunchFile):
    """The folder of the launch file being visited."""

    def perform(self, context: LaunchContext) -> str:
        """Return the folder."""
        return os.path.dirname(super().perform(context))


class EqualsSubstitution(Substitution):
    """'true' if both texts are equal."""

    def __init__(self, left: SomeSubstitutionsType, right: SomeSubstitutionsType):
        self._left, self._right = (
            normalize(side if not isinstance(side, (bool, int, float)) else str(side))
            for side in (left, right)
        )

    def perform(self, context: LaunchContext) -> str:
        """Return 'true' or 'false'; booleans compare in any spelling."""
        left, right = perform(context, self._left), perform(context, self._right)
        truth = {"true": "1", "false": "0"}
        same = truth.get(left.lower(), left) == truth.get(right.lower(), right)
        return str(same).lower()


class NotEqualsSubstitution(EqualsSubstitution):
    """'true' if the texts differ."""

    def perform(self, context: LaunchContext) -> str:
        """Return 'true' or 'false'."""
        return str(not as_bool(super().perform(context))).lower()


class IfElseSubstitution(Substitution):
    """One text where a boolean text is true, another where it is false."""

    def __init__(
        self,
        condition: SomeSubstitutionsType,
        if_value: SomeSubstitutionsType = "",
        else_value: SomeSubstitutionsType = "",
    ):
        self._condition = normalize(condition)
        self._values = normalize(if_value), normalize(else_value)

    def perform(self, context: LaunchContext) -> str:
        """Return the text that the condition chooses."""
        chosen = self._values[not as_bool(perform(context, self._condition))]
        return perform(context, chosen)


class NotSubstitution(Substitution):
    """The negation of a boolean text."""

    def __init__(self, value: SomeSubstitutionsType):
        self._value = normalize(value)

    def perform(self, context: LaunchContext) -> str:
        """Return 'true' or 'false'."""
        return str(not as_bool(perform(context, self._value))).lower()


class AndSubstitution(Substitution):
    """'true' if both are."""

    combine = staticmethod(lambda left, right: left and right)

    def __init__(self, left: SomeSubstitutionsType, right: SomeSubstitutionsType):
        self._left, self._right = normalize(left), normalize(right)

    def perform(self, context: LaunchContext) -> str:
        """Return 'true' or 'false'."""
        left, right = (as_bool(perform(context, side)) for side in (self._left, self._right))
        return str(self.combine(left, right)).lower()


class OrSubstitution(AndSubstitution):
    """'true' if one is."""

    combine = staticmethod(lambda left, right: left or right)


def _describe(parts: list[Substitution]) -> str:
    return " + ".join(part.describe() for part in parts)
