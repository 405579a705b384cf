# SPDX-License-Identifier: Apache-2.0
"""Substitutions that launch files import."""

from ._substitutions import (
    ExecutableInPackage,
    FindPackage,
    FindPackagePrefix,
    FindPackageShare,
)

__all__ = [
    "ExecutableInPackage",
    "FindPackage",
    "FindPackagePrefix",
    "FindPackageShare",
]
