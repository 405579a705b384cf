# SPDX-License-Identifier: Apache-2.0
"""Parameters as dataclasses: name, type, default, description and bounds in one place.

    @dataclass
    class CameraParameters:
        width: int = parameter(256, "Image width [px].", minimum=1, maximum=4096, read_only=True)
        mode: str = parameter("fast", "How to render.", choices=("fast", "fine"))

    parameters = declare(node, CameraParameters)   # a CameraParameters with the node's values

Parameters that are not read-only follow later changes: the object is updated in place.
"""

import dataclasses
import difflib
import math
import typing
from dataclasses import dataclass
from typing import Any, TypeVar

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

T = TypeVar("T")

TYPES = {
    bool: Parameter.Type.BOOL,
    int: Parameter.Type.INTEGER,
    float: Parameter.Type.DOUBLE,
    str: Parameter.Type.STRING,
    list[bool]: Parameter.Type.BOOL_ARRAY,
    list[int]: Parameter.Type.INTEGER_ARRAY,
    list[float]: Parameter.Type.DOUBLE_ARRAY,
    list[str]: Parameter.Type.STRING_ARRAY,
}

# Declared by rclpy itself, or read by it without being declared.
OF_RCLPY = ("use_sim_time", "start_type_description_service")
OF_RCLPY_PREFIX = "qos_overrides."


class ParameterError(ValueError):
    """Parameters given to a node are unknown or unusable.

    Attributes:
        parameters: the declared parameters, with the default in place of each unusable value.
    """

    def __init__(self, problems: list[str], parameters: Any = None):
        super().__init__("; ".join(problems))
        self.parameters = parameters


@dataclass(frozen=True)
class Spec:
    """One parameter as ROS sees it."""

    name: str
    type: Any
    default: Any
    description: str
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...] | None
    read_only: bool

    @property
    def allowed(self) -> str:
        """The bounds in words; empty without bounds."""
        if self.choices is not None:
            return "one of " + ", ".join(repr(choice) for choice in self.choices)
        if self.minimum is not None and self.maximum is not None:
            return f"from {self.minimum} to {self.maximum}"
        if self.minimum is not None:
            return f"at least {self.minimum}"
        return f"at most {self.maximum}" if self.maximum is not None else ""

    def problem(self, value: Any) -> str:
        """Say why a value cannot be used; empty if it can."""
        wanted = TYPES[self.type]
        given = Parameter.Type.from_parameter_value(value)
        if given != wanted:
            hint = (
                f"; write {float(value)}" if (given.name, wanted.name) == INTEGER_FOR_DOUBLE else ""
            )
            return (
                f"parameter '{self.name}' must be of type {wanted.name.lower()}, "
                f"got {value!r} ({given.name.lower()}){hint}"
            )
        for element in value if isinstance(value, list | tuple) else (value,):
            if not self._inside(element):
                return (
                    f"parameter '{self.name}' must be {self.allowed or 'finite'}, got {element!r}"
                )
        return ""

    def _inside(self, element: Any) -> bool:
        if self.choices is not None:
            return element in self.choices
        if isinstance(element, float) and not math.isfinite(element):
            return False
        above = self.minimum is None or element >= self.minimum
        return above and (self.maximum is None or element <= self.maximum)

    def descriptor(self) -> ParameterDescriptor:
        """Descriptor for `ros2 param describe`."""
        descriptor = ParameterDescriptor(
            name=self.name,
            type=TYPES[self.type].value,
            description=self.description,
            additional_constraints=self.allowed,
            read_only=self.read_only,
        )
        if self.minimum is not None or self.maximum is not None:
            if self.type is float:
                low = -math.inf if self.minimum is None else float(self.minimum)
                high = math.inf if self.maximum is None else float(self.maximum)
                descriptor.floating_point_range = [
                    FloatingPointRange(from_value=low, to_value=high)
                ]
            elif self.type is int:
                low = -(2**63) if self.minimum is None else int(self.minimum)
                high = 2**63 - 1 if self.maximum is None else int(self.maximum)
                descriptor.integer_range = [IntegerRange(from_value=low, to_value=high, step=1)]
        return descriptor


INTEGER_FOR_DOUBLE = ("INTEGER", "DOUBLE")


def parameter(
    default: Any,
    description: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] | None = None,
    read_only: bool = False,
    name: str | None = None,
) -> Any:
    """Field of a dataclass of parameters.

    Args:
        default: value without an override; a list needs elements, or ROS could not tell its type.
        description: for people, with the unit in brackets.
        minimum: smallest allowed value (of each element of a list).
        maximum: largest allowed value.
        choices: the only allowed strings.
        read_only: a change needs a restart.
        name: ROS name where it differs from the field's (with dots, for example).
    """
    if isinstance(default, list) and not default:
        raise ValueError("a list parameter needs a default with elements")
    metadata = {
        "description": description,
        "minimum": minimum,
        "maximum": maximum,
        "choices": choices,
        "read_only": read_only,
        "name": name,
    }
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def specs(parameters_type: type) -> dict[str, Spec]:
    """Parameters of a dataclass by the name of its fields.

    Raises:
        TypeError: a field was not made with `parameter`, or has a type that ROS does not know.
    """
    hints = typing.get_type_hints(parameters_type)
    found = {}
    for field in dataclasses.fields(parameters_type):
        if "description" not in field.metadata:
            raise TypeError(
                f"{parameters_type.__name__}.{field.name} was not made with parameter()"
            )
        if hints[field.name] not in TYPES:
            raise TypeError(
                f"{parameters_type.__name__}.{field.name}: no parameter can be {hints[field.name]}"
            )
        default = field.default
        if default is dataclasses.MISSING:
            default = field.default_factory()
        values = {**field.metadata, "name": field.metadata["name"] or field.name}
        found[field.name] = Spec(type=hints[field.name], default=default, **values)
    return found


def names(parameters_type: type) -> set[str]:
    """ROS names of all parameters of a dataclass."""
    return {spec.name for spec in specs(parameters_type).values()}


def declare(node: Node, parameters_type: type[T]) -> T:
    """Declare a dataclass of parameters on a node and read their values.

    Call it once per node, when it has declared whatever it declares otherwise.

    Args:
        node: not one with allow_undeclared_parameters.
        parameters_type: a dataclass whose fields were made with `parameter`.

    Raises:
        ParameterError: an override (command line, file, launch) has a name that is not declared, a
            wrong type, or a value out of bounds. All problems are named at once.
    """
    # rclpy has no public way to see overrides that were not declared; the attribute is old.
    overrides = {name: given.value for name, given in node._parameter_overrides.items()}
    known = specs(parameters_type)
    problems = []
    values = {}
    for field, spec in known.items():
        problem = spec.problem(overrides[spec.name]) if spec.name in overrides else ""
        if problem:
            problems.append(problem)
        values[field] = node.declare_parameter(
            spec.name, spec.default, spec.descriptor(), ignore_override=bool(problem)
        ).value
    parameters = parameters_type(**{field: _as_list(value) for field, value in values.items()})
    problems += _unknown(node, overrides, known)
    _follow_changes(node, parameters, known)
    if problems:
        raise ParameterError(problems, parameters)
    return parameters


def _as_list(value: Any) -> Any:
    # rclpy hands numeric arrays out as array.array or tuple, depending on where they came from.
    return value if isinstance(value, bool | int | float | str) else list(value)


def _unknown(node: Node, overrides: dict[str, Any], known: dict[str, Spec]) -> list[str]:
    problems = []
    for name in overrides:
        if node.has_parameter(name) or name in OF_RCLPY or name.startswith(OF_RCLPY_PREFIX):
            continue
        close = difflib.get_close_matches(name, [spec.name for spec in known.values()], n=1)
        hint = f"did you mean '{close[0]}'?" if close else "see `ros2 param list` for those it has"
        problems.append(f"unknown parameter '{name}' for node '{node.get_name()}': {hint}")
    return problems


def _follow_changes(node: Node, parameters: Any, known: dict[str, Spec]) -> None:
    fields = {spec.name: field for field, spec in known.items()}

    def check(changed: list[Parameter]) -> SetParametersResult:
        problems = [
            known[fields[change.name]].problem(change.value)
            for change in changed
            if change.name in fields
        ]
        return SetParametersResult(
            successful=not any(problems), reason="; ".join(filter(None, problems))
        )

    def apply(changed: list[Parameter]) -> None:
        for change in changed:
            if change.name in fields:
                setattr(parameters, fields[change.name], _as_list(change.value))

    node.add_on_set_parameters_callback(check)
    node.add_post_set_parameters_callback(apply)
