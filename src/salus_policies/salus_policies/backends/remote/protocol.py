# SPDX-License-Identifier: Apache-2.0
"""Messages between the VLA node and a policy server: a JSON header and raw arrays, never pickles.

README.md of this folder is the specification; PROTOCOL is its version.
"""

import json
import math
import socket
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from salus_core.actions import ActionSpec
from salus_core.signals import LatentStatistics
from salus_policies.backends.base import Observation, PolicyInfo, PolicyOutput

PROTOCOL = 2
MAGIC = b"SLVP"
PREFIX = struct.Struct("<4sIQ")
"""Magic, bytes of the header, bytes of the arrays; little-endian."""
MAX_DIMENSIONS = 8
DTYPES = ("uint8", "float32", "float64", "int64")
PORT = 5555


class ProtocolError(ConnectionError):
    """The other side speaks another language, or another version of this one."""


@dataclass(frozen=True)
class Limits:
    """What a message may hold; more is refused before memory is taken.

    Attributes:
        header: bytes of the header.
        arrays: bytes of all arrays.
    """

    header: int
    arrays: int


HELLO = Limits(4 << 10, 0)
"""Of a client that nobody knows yet."""
WELCOME = Limits(1 << 20, 256 << 20)
"""With the latent statistics of a policy."""
OUTPUT = Limits(64 << 10, 4 << 20)
"""With chunks and latent of the largest size that SALUS's messages carry."""
_BODY_BYTES = 1 << 20


def act_limits(info: PolicyInfo) -> Limits:
    """Of what a client may send to a policy: its cameras' images, and a robot with its URDF."""
    images = sum(3 * height * width for height, width in info.cameras.values())
    return Limits(8 << 20, images + _BODY_BYTES)


@dataclass
class Message:
    """One message.

    Attributes:
        kind: "hello", "welcome", "bind", "reset", "done", "act", "output" or "error".
        fields: Plain JSON values.
        arrays: By name; of one of DTYPES.
    """

    kind: str
    fields: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)


def send(connection: socket.socket, message: Message) -> None:
    """Sends a message.

    Args:
        connection: A connected stream socket.
        message: The message.

    Raises:
        OSError: The connection is gone.
    """
    arrays = {name: np.ascontiguousarray(value) for name, value in message.arrays.items()}
    listed = [
        {"name": name, "dtype": value.dtype.name, "shape": list(value.shape)}
        for name, value in arrays.items()
    ]
    unknown = {entry["dtype"] for entry in listed} - set(DTYPES)
    if unknown:
        raise TypeError(f"arrays of type {', '.join(unknown)} cannot be sent")
    header = {"kind": message.kind, "fields": message.fields, "arrays": listed}
    # Standard JSON has no NaN: refused here instead of by the other side.
    encoded = json.dumps(header, allow_nan=False).encode()
    size = sum(value.nbytes for value in arrays.values())
    connection.sendall(PREFIX.pack(MAGIC, len(encoded), size) + encoded)
    for value in arrays.values():
        if value.nbytes:
            connection.sendall(memoryview(value).cast("B"))


def receive(
    connection: socket.socket,
    limits: Limits = WELCOME,
    within: float | None = None,
    idle: float | None = None,
) -> Message:
    """Receives a message.

    Args:
        connection: A connected stream socket.
        limits: What the message may hold.
        within: Time in which all of the message must come, however it drips [s]; None: any.
        idle: Time until its first byte, before `within` begins [s]; None: there is none besides.

    Returns:
        The message.

    Raises:
        ProtocolError: What came is no message.
        OSError: The connection is gone (ConnectionError) or silent (TimeoutError).
    """
    first = b""
    if idle is not None:
        connection.settimeout(idle)
        first = connection.recv(1)
        if not first:
            raise ConnectionResetError("the other side closed the connection")
    until = None if within is None else time.monotonic() + within
    begin = first + _receive(connection, PREFIX.size - len(first), until)
    magic, header_size, size = PREFIX.unpack(begin)
    if magic != MAGIC:
        raise ProtocolError("the other side does not speak SALUS's policy protocol")
    if header_size > limits.header or size > limits.arrays:
        raise ProtocolError(
            f"a message of {header_size} + {size} bytes is too large: at most {limits.header} + "
            f"{limits.arrays} are taken"
        )
    try:
        content = bytes(_receive(connection, header_size, until))
        header = json.loads(content, parse_constant=_no_number)
        kind, values, listed = header["kind"], header["fields"], header["arrays"]
        shapes = [(str(a["name"]), _dtype(a["dtype"]), _shape(a["shape"], size)) for a in listed]
        if not isinstance(kind, str) or not isinstance(values, dict):
            raise TypeError("kind or fields")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ProtocolError(f"a message's header is unreadable: {error!r}") from error
    if sum(math.prod(shape) * dtype.itemsize for _, dtype, shape in shapes) != size:
        raise ProtocolError("a message's arrays are not as long as its header says")
    arrays = {
        name: np.frombuffer(
            _receive(connection, math.prod(shape) * dtype.itemsize, until), dtype
        ).reshape(shape)
        for name, dtype, shape in shapes
    }
    return Message(kind, values, arrays)


def _dtype(name: str) -> np.dtype:
    if name not in DTYPES:
        raise ValueError(f"array of type {name}")
    return np.dtype(name).newbyteorder("<")


def _shape(given: list[int], most: int) -> tuple[int, ...]:
    good = len(given) <= MAX_DIMENSIONS and all(type(n) is int for n in given)
    if not good or not all(0 <= n <= most for n in given):
        raise ValueError(f"array of shape {str(given)[:80]}")
    return tuple(given)


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _receive(connection: socket.socket, size: int, until: float | None) -> bytearray:
    buffer = bytearray(size)
    view = memoryview(buffer)
    while view:
        if until is not None:
            left = until - time.monotonic()
            if left <= 0.0:
                raise TimeoutError("the message did not come whole in time")
            connection.settimeout(left)
        count = connection.recv_into(view)
        if count == 0:
            raise ConnectionResetError("the other side closed the connection")
        view = view[count:]
    return buffer


BODY = ("joint_positions", "joint_velocities", "tool_position", "tool_quaternion")
"""Arrays of an observation that a robot may lack."""


def observation_message(observation: Observation) -> Message:
    """An observation on its way to the server; what is None is left out."""
    arrays = {f"image/{name}": image for name, image in observation.images.items()}
    for name in BODY:
        if getattr(observation, name) is not None:
            arrays[name] = np.asarray(getattr(observation, name), np.float64)
    values: dict[str, Any] = {"step": observation.step, "instruction": observation.instruction}
    if observation.gripper_width is not None:
        values["gripper_width"] = float(observation.gripper_width)
    return Message("act", values, arrays)


def read_observation(message: Message) -> Observation:
    """The observation of a message.

    Raises:
        ProtocolError: Something is missing.
    """
    try:
        arrays = dict(message.arrays)
        images = {
            name.removeprefix("image/"): arrays.pop(name)
            for name in list(arrays)
            if name.startswith("image/")
        }
        told = {**dict.fromkeys((*BODY, "gripper_width")), **arrays, **message.fields}
        return Observation(images=images, **told)
    except TypeError as error:
        raise ProtocolError(f"an observation is incomplete: {error}") from error


def output_message(output: PolicyOutput) -> Message:
    """A policy's output on its way to the client; what is None is left out."""
    given = {f.name: getattr(output, f.name) for f in fields(PolicyOutput)}
    arrays = {name: np.asarray(v, np.float64) for name, v in given.items() if v is not None}
    return Message("output", arrays=arrays)


def read_output(message: Message) -> PolicyOutput:
    """The output of a message.

    Raises:
        ProtocolError: There is no action, or something unknown.
    """
    try:
        return PolicyOutput(**message.arrays)
    except TypeError as error:
        raise ProtocolError(f"an output is unreadable: {error}") from error


def info_message(info: PolicyInfo) -> Message:
    """A policy's description on its way to the client."""
    values = {f.name: getattr(info, f.name) for f in fields(PolicyInfo)}
    statistics = values.pop("latent_statistics")
    values["cameras"] = {name: list(size) for name, size in info.cameras.items()}
    for name in ("action", "policy_action"):
        values[name] = None if values[name] is None else values[name].to_dict()
    arrays = {}
    if statistics is not None:
        values["latent_count"] = statistics.count
        arrays["latent_mean"] = statistics.mean
        arrays["latent_precision_cholesky"] = statistics.precision_cholesky
    return Message("welcome", {"protocol": PROTOCOL, "info": values}, arrays)


def read_info(message: Message) -> PolicyInfo:
    """The description of a message.

    Raises:
        ProtocolError: Something is missing or unknown.
        BackendError: The policy does not fit SALUS's messages.
    """
    try:
        values: Mapping[str, Any] = dict(message.fields["info"])
        count = values.pop("latent_count", None)
        statistics = None
        if count is not None:
            statistics = LatentStatistics(
                message.arrays["latent_mean"], message.arrays["latent_precision_cholesky"], count
            )
        values["cameras"] = {name: tuple(size) for name, size in values["cameras"].items()}
        for name in ("action", "policy_action"):
            if name == "action" or values[name] is not None:
                values[name] = ActionSpec.of(**values[name])
        return PolicyInfo(**values, latent_statistics=statistics)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProtocolError(f"the policy's description is unreadable: {error!r}") from error
