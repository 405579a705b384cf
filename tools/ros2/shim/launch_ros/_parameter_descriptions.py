# SPDX-License-Identifier: Apache-2.0
"""Descriptions of parameters: typed values and files."""

from typing import Any, get_args, get_origin

import yaml
from launch._core import LaunchContext, SomeSubstitutionsType, normalize, perform


class ParameterValue:
    """A value with a declared type (None: the type that YAML sees in it)."""

    def __init__(self, value: Any, *, value_type: Any = None):
        self.value, self.value_type = value, value_type

    def evaluate(self, context: LaunchContext) -> Any:
        """Return the value.

        Raises:
            ValueError: the text cannot be read as the declared type.
        """
        value = self.value
        if isinstance(value, (bool, int, float)):
            value = str(value)
        elif isinstance(value, (list, tuple)) and get_origin(self.value_type) is list:
            value = [v if isinstance(v, (bool, int, float)) else perform(context, v) for v in value]
            value = yaml.safe_dump(value, default_flow_style=True)
        text = perform(context, value)
        if self.value_type is str:
            return text
        parsed = parse_yaml(text)
        if self.value_type is None:
            return parsed
        return _check(parsed, self.value_type, text)


class ParameterFile:
    """A YAML file of parameters."""

    def __init__(self, param_file: SomeSubstitutionsType, *, allow_substs: bool = False):
        if allow_substs:
            raise NotImplementedError("ParameterFile: allow_substs needs upstream's launch_ros")
        self.param_file = normalize(param_file)

    def evaluate(self, context: LaunchContext) -> str:
        """Return the path."""
        return perform(context, self.param_file)


class Parameter:
    """One named parameter."""

    def __init__(self, name: SomeSubstitutionsType, value: Any, *, value_type: Any = None):
        self.name, self.value = normalize(name), ParameterValue(value, value_type=value_type)


def parse_yaml(text: str) -> Any:
    """Return the bool, int, float, str or list that YAML sees in a text.

    Raises:
        ValueError: it is something that no parameter can hold.
    """
    try:
        value = yaml.safe_load(text) if text else ""
    except yaml.YAMLError as error:
        raise ValueError(
            f"cannot read the parameter value {text!r} as YAML; for a text use "
            "ParameterValue(value, value_type=str)"
        ) from error
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(item, (bool, int, float, str)) for item in items):
        raise ValueError(f"a parameter cannot hold the value {text!r}")
    return value


def evaluate_value(context: LaunchContext, value: Any) -> Any:
    """Return what a parameter dictionary's value stands for.

    A plain text stays a text; what comes from a substitution has the type that YAML sees in it.
    """
    if isinstance(value, ParameterValue):
        return value.evaluate(context)
    if isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        if {type(item) for item in value} == {int, float}:
            return [float(item) for item in value]  # a parameter's array has one type
        if all(isinstance(item, (bool, int, float)) for item in value) or all(
            isinstance(item, str) for item in value
        ):
            return list(value)
        if any(isinstance(item, (list, tuple)) for item in value):
            return [parse_yaml(perform(context, item)) for item in value]
    return parse_yaml(perform(context, value))


def _check(value: Any, value_type: Any, text: str) -> Any:
    if get_origin(value_type) is list:
        if isinstance(value, list):
            return [_check(item, get_args(value_type)[0], text) for item in value]
    elif value_type is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    elif isinstance(value, value_type) and not (value_type is int and isinstance(value, bool)):
        return value
    name = getattr(value_type, "__name__", str(value_type))
    raise ValueError(f"the parameter value {text!r} is not of the type {name}")
