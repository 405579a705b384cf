# SPDX-License-Identifier: Apache-2.0
"""Conditions that launch files import."""

from ._conditions import (
    IfCondition,
    UnlessCondition,
)

__all__ = [
    "IfCondition",
    "UnlessCondition",
]
