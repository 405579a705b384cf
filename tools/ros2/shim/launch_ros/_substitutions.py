# SPDX-License-Identifier: Apache-2.0
"""Substitutions that find packages and executables."""

import os
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch._core import LaunchContext, SomeSubstitutionsType, Substitution, normalize, perform
from launch._substitutions import SubstitutionFailure


class FindPackagePrefix(Substitution):
    """The install prefix of a package."""

    def __init__(self, package: SomeSubstitutionsType):
        self._package = normalize(package)

    def perform(self, context: LaunchContext) -> str:
        """Return the prefix.

        Raises:
            SubstitutionFailure: no such package in AMENT_PREFIX_PATH.
        """
        package = perform(context, self._package)
        try:
            return get_package_prefix(package)
        except (PackageNotFoundError, LookupError, ValueError) as error:
            raise SubstitutionFailure(f"package '{package}' not found: {error}") from error

    def describe(self) -> str:
        """Return FindPackagePrefix(pkg='name')."""
        package = " + ".join(part.describe() for part in self._package)
        return f"{type(self).__name__}(pkg={package})"


FindPackage = FindPackagePrefix


class FindPackageShare(FindPackagePrefix):
    """The share folder of a package."""

    def perform(self, context: LaunchContext) -> str:
        """Return the folder."""
        return os.path.join(super().perform(context), "share", perform(context, self._package))


class ExecutableInPackage(FindPackagePrefix):
    """The path of an executable of a package."""

    def __init__(self, executable: SomeSubstitutionsType, package: SomeSubstitutionsType):
        super().__init__(package)
        self._executable = normalize(executable)

    def perform(self, context: LaunchContext) -> str:
        """Return the path.

        Raises:
            SubstitutionFailure: the package installs no such executable.
        """
        package, name = perform(context, self._package), perform(context, self._executable)
        folder = Path(super().perform(context)) / "lib" / package
        path = folder / name
        if not (path.is_file() and os.access(path, os.X_OK)):
            raise SubstitutionFailure(f"executable '{name}' not found on the libexec '{folder}'")
        return str(path)
