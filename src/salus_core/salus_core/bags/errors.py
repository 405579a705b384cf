# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a bag."""


class BagError(ValueError):
    """A bag cannot be replayed; the message says what is missing."""


def one_line(error: BaseException) -> str:
    """What an error of a library says, short enough for a line of a terminal."""
    said = " ".join(str(error).split()) or type(error).__name__
    return said if len(said) <= 200 else said[:200] + " ..."
