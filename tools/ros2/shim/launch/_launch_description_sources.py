# SPDX-License-Identifier: Apache-2.0
"""Where the description of an include comes from."""

import importlib.util
import itertools
from pathlib import Path
from typing import Any

from ._core import LaunchContext, LaunchDescription, SomeSubstitutionsType, normalize, perform

_serial = itertools.count()


def load_python_launch_file(path: str | Path) -> LaunchDescription:
    """Run generate_launch_description() of a Python launch file.

    Raises:
        FileNotFoundError: no such file.
        RuntimeError: the file has no generate_launch_description, or it returns something else.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"launch file '{path}' does not exist")
    if path.suffix != ".py":
        raise RuntimeError(f"launch file '{path}': only Python launch files can be launched here")
    spec = importlib.util.spec_from_file_location(f"launch_file_{next(_serial)}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    generate = getattr(module, "generate_launch_description", None)
    if generate is None:
        raise RuntimeError(f"launch file '{path}' has no function generate_launch_description")
    description = generate()
    if not isinstance(description, LaunchDescription):
        raise RuntimeError(
            f"launch file '{path}': generate_launch_description returned {type(description)}"
        )
    return description


class LaunchDescriptionSource:
    """A launch description and where it came from."""

    def __init__(self, launch_description: LaunchDescription | None = None, location: Any = None):
        self._description = launch_description
        self._location = normalize(location if location is not None else "<script>")
        self.path: Path | None = None  # known after the description was loaded from a file

    def get_launch_description(self, context: LaunchContext) -> LaunchDescription:
        """Return the description, loaded at most once."""
        if self._description is None:
            self.path = Path(perform(context, self._location)).absolute()
            self._description = load_python_launch_file(self.path)
        return self._description


class PythonLaunchDescriptionSource(LaunchDescriptionSource):
    """A Python launch file."""

    def __init__(self, launch_file_path: SomeSubstitutionsType):
        super().__init__(None, launch_file_path)


AnyLaunchDescriptionSource = PythonLaunchDescriptionSource
