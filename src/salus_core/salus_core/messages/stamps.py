# SPDX-License-Identifier: Apache-2.0
"""Stamps as whole nanoseconds."""

from typing import Any

NS = 1_000_000_000


def nanoseconds(stamp: Any) -> int:
    """A builtin_interfaces/Time as one integer: exact, comparable, hashable [ns]."""
    return stamp.sec * NS + stamp.nanosec


def fill_stamp(stamp: Any, value: int) -> None:
    """Put a time into a builtin_interfaces/Time.

    Args:
        stamp: gets it.
        value: [ns].
    """
    stamp.sec, stamp.nanosec = divmod(value, NS)


def seconds_text(value: int) -> str:
    """A difference of stamps [ns] for people, in the unit that reads best."""
    if abs(value) < NS:
        return f"{value * 1e-6:.3g} ms"
    return f"{value / NS:.3f} s"
