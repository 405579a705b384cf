# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a bag."""


class BagError(ValueError):
    """A bag cannot be replayed; the message says what is missing."""
