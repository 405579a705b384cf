# SPDX-License-Identifier: Apache-2.0
"""Events that launch files handle or emit."""

from collections.abc import Callable

from .._core import Event
from . import process


class Shutdown(Event):
    """Everything is to end."""

    def __init__(self, *, reason: str = "reason not given", due_to_sigint: bool = False):
        self.reason = reason
        self.due_to_sigint = due_to_sigint


def matches_action(target_action: object) -> Callable[[object], bool]:
    """Return a matcher for the process of one action."""
    return lambda action: action is target_action


__all__ = ["Shutdown", "matches_action", "process"]
