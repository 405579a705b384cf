# SPDX-License-Identifier: Apache-2.0
"""`ros2 pkg`."""

import argparse
import os
from pathlib import Path

from .cli import UsageError, add_verbs


def prefix_of(package: str) -> Path:
    """Return the prefix of a package.

    Raises:
        UsageError: no such package in AMENT_PREFIX_PATH.
    """
    from ament_index_python.packages import PackageNotFoundError, get_package_prefix

    try:
        return Path(get_package_prefix(package))
    except (PackageNotFoundError, LookupError, ValueError):
        raise UsageError(f"Package '{package}' not found") from None


def executables(prefix: Path, package: str) -> list[Path]:
    """Return the executables that a package installs."""
    folder = prefix / "lib" / package
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.rglob("*") if p.is_file() and os.access(p, os.X_OK))


def _list(args: argparse.Namespace) -> int:
    from ament_index_python.packages import get_packages_with_prefixes

    for name in sorted(get_packages_with_prefixes()):
        print(name)
    return 0


def _prefix(args: argparse.Namespace) -> int:
    prefix = prefix_of(args.package_name)
    print(prefix / "share" / args.package_name if args.share else prefix)
    return 0


def _executables(args: argparse.Namespace) -> int:
    from ament_index_python.packages import get_packages_with_prefixes

    names = [args.package_name] if args.package_name else sorted(get_packages_with_prefixes())
    for name in names:
        for path in executables(prefix_of(name), name):
            print(path if args.full_path else f"{name} {path.name}")
    return 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `ros2 pkg`."""

    def prefix(verb: argparse.ArgumentParser) -> None:
        verb.add_argument("package_name")
        verb.add_argument("--share", action="store_true", help="show the share folder")

    def listing(verb: argparse.ArgumentParser) -> None:
        verb.add_argument("package_name", nargs="?")
        verb.add_argument("--full-path", action="store_true", help="show paths")

    add_verbs(
        parser,
        {
            "list": ("List packages", lambda verb: None, _list),
            "prefix": ("Show the prefix of a package", prefix, _prefix),
            "executables": ("List executables of packages", listing, _executables),
        },
    )
