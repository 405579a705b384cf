# SPDX-License-Identifier: Apache-2.0
"""The module that custom substitutions import their base class from."""

from ._core import Substitution

__all__ = ["Substitution"]
