# SPDX-License-Identifier: Apache-2.0
"""Settings as dataclasses, from YAML and `key=value` overrides; unknown keys are errors."""

from __future__ import annotations

import dataclasses
import difflib
import reprlib
import types
import typing
import warnings
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from salus_core.paths import PathError, parse_yaml, read_yaml

T = TypeVar("T")

RENAMED = {
    "network": {"outlook": "outcome_head", "free": "learned_features"},
    "training": {
        "rate": "learning_rate",
        "batch": "batch_size",
        "clip": "max_grad_norm",
        "average": "ema_decay",
        "balance": "positive_fraction",
        "late_start": "random_start",
        "jitter": "time_warp",
        "scene_probe": "linear_probe",
        "outlook_weight": "outcome_head_weight",
    },
}
"""Old names of settings and what they are called now, by section."""


class RenamedSetting(DeprecationWarning):
    """A setting was given by its old name; the message says the new one."""


class SettingsError(ValueError):
    """A setting is unknown or unusable; the message names it."""


def build(cls: type[T], content: Mapping[str, Any], where: str) -> T:
    """Make a dataclass of a mapping.

    Args:
        cls: a dataclass; fields that are dataclasses take mappings.
        content: values by field.
        where: for the error message.

    Raises:
        SettingsError: unknown field, or a value of the wrong type.
    """
    if not isinstance(content, Mapping):
        raise SettingsError(f"{where} must be a mapping, got {reprlib.repr(content)}")
    hints = typing.get_type_hints(cls)
    fields = {field.name for field in dataclasses.fields(cls)}
    values = {}
    for name, value in content.items():
        if name not in fields:
            close = difflib.get_close_matches(str(name), fields, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"use {', '.join(sorted(fields))}"
            raise SettingsError(f"unknown setting '{where}.{name}': {hint}")
        values[name] = _value(hints[name], value, f"{where}.{name}")
    try:
        return cls(**values)
    except ValueError as error:
        raise SettingsError(f"{where}: {error}") from error
    except TypeError as error:
        raise SettingsError(f"{where}: a setting is missing: {error}") from error


def current_names(content: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with the old names of RENAMED replaced, each with a RenamedSetting warning.

    Raises:
        SettingsError: a setting is given by its old and by its new name.
    """
    found = dict(content)
    for section, names in RENAMED.items():
        given = found.get(section)
        if isinstance(given, Mapping):
            found[section] = {
                _current(section, name, given): value for name, value in given.items()
            }
        for old in names:
            if (name := f"{section}.{old}") in found:
                found[f"{section}.{_current(section, old, ())}"] = found.pop(name)
    return found


def _current(section: str, name: str, given: Container[str]) -> str:
    new = RENAMED.get(section, {}).get(name)
    if new is None:
        return name
    if new in given:
        raise SettingsError(f"'{section}.{name}' is the old name of '{section}.{new}': give one")
    warnings.warn(
        f"'{section}.{name}' is now called '{section}.{new}'", RenamedSetting, stacklevel=3
    )
    return new


def load_yaml(path: Path | str) -> dict[str, Any]:
    """Read a YAML file of settings.

    Raises:
        SettingsError: it is missing or no mapping.
    """
    try:
        content = read_yaml(Path(path).expanduser())
    except (PathError, RuntimeError) as error:  # RuntimeError: of a home that is not known
        raise SettingsError(str(error)) from error
    if not isinstance(content, dict):
        raise SettingsError(f"{path}: expected a mapping of settings")
    return content


def override(content: Mapping[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """Apply `section.key=value` assignments; values are read as YAML.

    Raises:
        SettingsError: an assignment has another form.
    """
    result = _copy(current_names(content))
    for assignment in assignments:
        key, separator, text = assignment.partition("=")
        if not separator or not all(key.split(".")):
            raise SettingsError(f"'{assignment}' is not of the form key=value")
        try:
            value = parse_yaml(text, f"the value of '{assignment}'")
        except PathError as error:
            raise SettingsError(str(error)) from error
        *path, last = key.split(".")
        last = _current(".".join(path), last, ())
        at = result
        for part in path:
            at = at.setdefault(part, {})
            if not isinstance(at, dict):
                raise SettingsError(f"'{assignment}': '{part}' is not a section")
        at[last] = value
    return result


def _copy(content: Any) -> Any:
    return {k: _copy(v) for k, v in content.items()} if isinstance(content, Mapping) else content


def _value(hint: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        options = [option for option in typing.get_args(hint) if option is not type(None)]
        if value is None and len(options) < len(typing.get_args(hint)):
            return None
        return _value(options[0], value, where)
    if dataclasses.is_dataclass(hint):
        return build(hint, value, where)
    if origin is tuple:
        element = typing.get_args(hint)[0]
        items = [value] if isinstance(value, str | int | float) else value
        if not isinstance(items, list | tuple):
            raise SettingsError(f"{where} must be a list, got {reprlib.repr(value)}")
        if ... not in typing.get_args(hint) and len(items) != len(typing.get_args(hint)):
            raise SettingsError(f"{where} must be a list of {len(typing.get_args(hint))}")
        return tuple(_value(element, item, where) for item in items)
    if origin is dict or hint is dict:
        if not isinstance(value, Mapping):
            raise SettingsError(f"{where} must be a mapping, got {reprlib.repr(value)}")
        return dict(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError as error:
            raise SettingsError(f"{where} is too large: {reprlib.repr(value)}") from error
    if hint is float and isinstance(value, str):
        # YAML 1.1 reads 1e-3 as a string.
        try:
            return float(value)
        except ValueError as error:
            raise SettingsError(f"{where} must be a number, got {reprlib.repr(value)}") from error
    if hint is str and value is None:
        return ""  # `key=` on a command line
    if isinstance(hint, type) and (
        not isinstance(value, hint) or (hint is int and isinstance(value, bool))
    ):
        raise SettingsError(f"{where} must be of type {hint.__name__}, got {reprlib.repr(value)}")
    return value
