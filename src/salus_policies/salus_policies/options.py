# SPDX-License-Identifier: Apache-2.0
"""Strict reading of a policy's configuration: every entry is named when it is wrong."""

from collections.abc import Mapping, Sequence
from reprlib import repr as short
from typing import Any

from salus_policies.backends.base import BackendError

REQUIRED = object()
LARGEST = 1e100
"""Of a number that is read: products of a few of them stay finite."""


class Options:
    """One section of a YAML file.

    Args:
        values: The section.
        where: Its place, for messages: "file: section".

    Raises:
        BackendError: It is no mapping.
    """

    def __init__(self, values: Any, where: str):
        if not isinstance(values, Mapping):
            raise BackendError(f"{where}: must be a mapping, is {short(values)}")
        self.where = where
        self._values = dict(values)

    def take(self, name: str, default: Any = REQUIRED) -> Any:
        """The value of an entry, whatever it is.

        Raises:
            BackendError: It is missing and has no default.
        """
        if name in self._values:
            return self._values.pop(name)
        if default is REQUIRED:
            raise BackendError(f"{self.where}: '{name}' is missing")
        return default

    def section(self, name: str) -> "Options":
        """A section within this one."""
        return Options(self.take(name), f"{self.where}: {name}")

    def number(
        self,
        name: str,
        default: Any = REQUIRED,
        minimum: float | None = None,
        maximum: float | None = None,
    ) -> Any:
        """A finite number within its bounds, as float; or the default."""
        value = self.take(name, default)
        if value is default:
            return value
        good = isinstance(value, int | float) and not isinstance(value, bool)
        good = good and abs(value) < LARGEST
        if good and minimum is not None:
            good = value >= minimum
        if good and maximum is not None:
            good = value <= maximum
        if not good:
            bounds = "" if minimum is None else f" of at least {minimum}"
            bounds += "" if maximum is None else f" and at most {maximum}"
            raise BackendError(
                f"{self.where}: '{name}' must be a number{bounds}, is {short(value)}"
            )
        return float(value)

    def numbers(self, name: str, minimum: float | None = None) -> list[float]:
        """A list of finite numbers from the minimum on."""
        values = self.take(name)
        if not isinstance(values, list):
            raise BackendError(
                f"{self.where}: '{name}' must be a list of numbers, is {short(values)}"
            )
        given = {str(index): value for index, value in enumerate(values)}
        entries = Options(given, f"{self.where}: {name}")
        return [entries.number(index, minimum=minimum) for index in given]

    def integer(
        self,
        name: str,
        default: Any = REQUIRED,
        minimum: int | None = None,
        maximum: int | None = None,
    ) -> Any:
        """A whole number within its bounds; or the default."""
        value = self.number(name, default, minimum, maximum)
        if value is default:
            return value
        if value != int(value):
            raise BackendError(f"{self.where}: '{name}' must be a whole number, is {short(value)}")
        return int(value)

    def text(self, name: str, default: Any = REQUIRED) -> Any:
        """A string; or the default."""
        value = self.take(name, default)
        if value is not default and not isinstance(value, str):
            raise BackendError(f"{self.where}: '{name}' must be a string, is {short(value)}")
        return value

    def choice(self, name: str, choices: Sequence[str], default: Any = REQUIRED) -> str:
        """One of a few strings; or the default."""
        value = self.take(name, default)
        if value is not default and value not in choices:
            raise BackendError(
                f"{self.where}: '{name}' must be one of {', '.join(choices)}, is {short(value)}"
            )
        return value

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self.take(name, default)
        if not isinstance(value, bool):
            raise BackendError(f"{self.where}: '{name}' must be true or false, is {short(value)}")
        return value

    def strings(self, name: str, default: Any = REQUIRED) -> Any:
        """A list of strings; or the default."""
        value = self.take(name, default)
        if value is default:
            return value
        if not (isinstance(value, list) and all(isinstance(entry, str) for entry in value)):
            raise BackendError(
                f"{self.where}: '{name}' must be a list of strings, is {short(value)}"
            )
        return value

    def end(self) -> None:
        """Refuses entries that nobody took.

        Raises:
            BackendError: There is one; a misspelled entry must not be ignored.
        """
        if self._values:
            raise BackendError(f"{self.where}: unknown entries {', '.join(map(str, self._values))}")
