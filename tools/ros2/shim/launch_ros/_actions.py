# SPDX-License-Identifier: Apache-2.0
"""Actions that run nodes and set their namespaces, parameters and remappings."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from launch._core import Action, LaunchContext, SomeSubstitutionsType, normalize, perform
from launch.actions import ExecuteProcess
from launch.logging import get_logger

from ._parameter_descriptions import Parameter, ParameterFile, evaluate_value
from ._substitutions import ExecutableInPackage

# Kept among the launch configurations, so that a group's scope closes over them.
_NAMESPACE, _PARAMETERS, _REMAPS = "ros_namespace", "global_params", "ros_remaps"


def _join_namespaces(base: str | None, namespace: str | None) -> str | None:
    if not namespace:
        return base
    if namespace.startswith("/") or not base:
        return "/" + namespace.strip("/")
    return f"{base.rstrip('/')}/{namespace.strip('/')}"


class PushRosNamespace(Action):
    """Prefixes the namespace of the nodes that follow in its scope."""

    def __init__(self, namespace: SomeSubstitutionsType, **kwargs: Any):
        super().__init__(**kwargs)
        self._namespace = normalize(namespace)

    def execute(self, context: LaunchContext) -> None:
        """Append to the current namespace."""
        base = context.launch_configurations.get(_NAMESPACE)
        joined = _join_namespaces(base, perform(context, self._namespace))
        if joined is not None:
            context.launch_configurations[_NAMESPACE] = joined


PushROSNamespace = PushRosNamespace


class _AppendToScope(Action):
    key: str

    def __init__(self, first: SomeSubstitutionsType, second: Any, **kwargs: Any):
        super().__init__(**kwargs)
        self._first, self._second = normalize(first), second

    def execute(self, context: LaunchContext) -> None:
        item = (perform(context, self._first), evaluate_value(context, self._second))
        # A new list, so that the scope outside keeps its own.
        context.launch_configurations[self.key] = [
            *context.launch_configurations.get(self.key, []),
            item,
        ]


class SetParameter(_AppendToScope):
    """Sets a parameter of all nodes that follow in its scope."""

    key = _PARAMETERS

    def __init__(self, name: SomeSubstitutionsType, value: Any, **kwargs: Any):
        super().__init__(name, value, **kwargs)


class SetRemap(_AppendToScope):
    """Remaps a name for all nodes that follow in its scope."""

    key = _REMAPS

    def __init__(self, src: SomeSubstitutionsType, dst: SomeSubstitutionsType, **kwargs: Any):
        super().__init__(src, dst, **kwargs)


class Node(ExecuteProcess):
    """Runs a node; `parameters` takes dictionaries, files and ParameterFile, in order."""

    def __init__(
        self,
        *,
        executable: SomeSubstitutionsType,
        package: SomeSubstitutionsType | None = None,
        name: SomeSubstitutionsType | None = None,
        namespace: SomeSubstitutionsType | None = None,
        exec_name: SomeSubstitutionsType | None = None,
        parameters: Iterable[Any] | None = None,
        remappings: Iterable[tuple[SomeSubstitutionsType, SomeSubstitutionsType]] = (),
        arguments: Iterable[SomeSubstitutionsType] = (),
        ros_arguments: Iterable[SomeSubstitutionsType] = (),
        **kwargs: Any,
    ):
        program = executable if package is None else ExecutableInPackage(executable, package)
        super().__init__(cmd=[program, *(arguments or ())], name=exec_name, **kwargs)
        if parameters is not None and not isinstance(parameters, (list, tuple)):
            raise TypeError(f"Node: parameters must be a list, got {parameters!r}")
        self._node_name, self._namespace = name, namespace
        self._parameters = list(parameters or [])
        self._remappings = list(remappings or ())
        self._ros_arguments = list(ros_arguments or ())

    def command(self, context: LaunchContext) -> list[str]:
        """Return the executable with its arguments and `--ros-args`."""
        name = perform(context, self._node_name) if self._node_name else None
        pushed = context.launch_configurations.get(_NAMESPACE)
        given = perform(context, self._namespace) if self._namespace is not None else None
        namespace = _join_namespaces(pushed, given)
        command = [*super().command(context), "--ros-args"]
        command += [perform(context, argument) for argument in self._ros_arguments]
        if name:
            command += ["-r", f"__node:={name}"]
        if namespace:
            command += ["-r", f"__ns:={namespace}"]
        for key, value in context.launch_configurations.get(_PARAMETERS, []):
            text = yaml.safe_dump(value, default_flow_style=True, width=float("inf"))
            command += ["-p", f"{key}:={text.removesuffix(chr(10)).removesuffix('...').strip()}"]
        target = f"{(namespace or '').rstrip('/')}/{name}" if name and namespace else "/**"
        for parameters in self._parameters:
            path = self._parameter_file(context, parameters, target)
            if path is not None:
                command += ["--params-file", path]
        for source, destination in context.launch_configurations.get(_REMAPS, []):
            command += ["-r", f"{source}:={destination}"]
        for source, destination in self._remappings:
            command += ["-r", f"{perform(context, source)}:={perform(context, destination)}"]
        return command

    def _parameter_file(self, context: LaunchContext, given: Any, target: str) -> str | None:
        if isinstance(given, Parameter):
            given = {perform(context, given.name): given.value}
        if isinstance(given, Mapping):
            values = dict(_flatten(context, given))
            file, path = tempfile.mkstemp(prefix="launch_params_", suffix=".yaml", dir=_folder())
            with os.fdopen(file, "w") as stream:
                yaml.safe_dump({target: {"ros__parameters": values}}, stream, sort_keys=False)
            return path
        path = (
            given.evaluate(context) if isinstance(given, ParameterFile) else perform(context, given)
        )
        if not Path(path).is_file():
            get_logger("launch_ros").warning(f"Parameter file path is not a file: {path}")
            return None
        return path


class LifecycleNode(Node):
    """A managed node; its transitions are asked for with `ros2 lifecycle` or by the node itself."""

    def __init__(
        self, *, name: SomeSubstitutionsType, namespace: SomeSubstitutionsType, **kwargs: Any
    ):
        super().__init__(name=name, namespace=namespace, **kwargs)


def _flatten(context: LaunchContext, parameters: Mapping, prefix: str = ""):
    for key, value in parameters.items():
        name = prefix + perform(context, key)
        if isinstance(value, Mapping):
            yield from _flatten(context, value, f"{name}.")
        else:
            yield name, evaluate_value(context, value)


def _folder() -> str:
    """Return the folder of the parameter files, which lives as long as this process."""
    if not _FOLDERS:
        _FOLDERS.append(tempfile.mkdtemp(prefix="launch_"))
        atexit.register(shutil.rmtree, _FOLDERS[0], ignore_errors=True)
    return _FOLDERS[0]


_FOLDERS: list[str] = []
