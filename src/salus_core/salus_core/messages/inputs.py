# SPDX-License-Identifier: Apache-2.0
"""What a synchroniser needs of each topic."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any


class Input:
    """A topic of which one message belongs to each anchor, such as a camera's images.

    Args:
        name: of the topic, or of the camera; for the caller and for error messages.
        needed: parts that messages of the topic must offer together; the default is one part that
            every message is.
        capacity: messages kept at most of one source; the time window usually keeps fewer. Give
            images few: 60 of 1920x1080 are 360 MB.
        required: an anchor is incomplete without it; can be set while running. A message that is
            not required is taken if it is there, and neither waited for nor counted.
    """

    def __init__(
        self,
        name: str,
        needed: Sequence[str] = ("",),
        capacity: int = 256,
        required: bool = True,
    ):
        if capacity < 1:
            raise ValueError(f"capacity of '{name}' must be at least 1: {capacity}")
        self.name = name
        self.needed = tuple(needed)
        self.capacity = capacity
        self.required = required

    def source(self, message: Any) -> Hashable:
        """Tell publishers of one topic apart: each has stamps of its own that do not go back."""
        return ""

    def offers(self, message: Any) -> Collection[str]:
        """Parts that a message has.

        Raises:
            InvalidInputError: the message cannot be used; says what is wrong with it.
        """
        return self.needed

    def combine(self, found: Mapping[str, Any]) -> Any:
        """Make one value out of the message of each part; the default is the message itself."""
        return found[self.needed[0]]

    def lacking(self, parts: Sequence[str]) -> str:
        """Say that parts never came."""
        return "nothing came"
