# SPDX-License-Identifier: Apache-2.0
"""A policy behind a socket: its libraries stay out of the ROS interpreter."""

import contextlib
import socket
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from salus_policies.backends.base import (
    BackendError,
    LoadOptions,
    Observation,
    PolicyBackend,
    PolicyInfo,
    PolicyOutput,
    PolicyOutputError,
)
from salus_policies.backends.remote import protocol
from salus_policies.backends.remote.protocol import Message, ProtocolError
from salus_policies.backends.remote.security import ClientSecurity
from salus_policies.policy_config import read_yaml
from salus_policies.robot import RobotDescription

RETRY = 0.1
"""Pause between two attempts to connect [s]."""
HINT = "start `python -m salus_policies.backends.remote.server --policy NAME --checkpoint PATH`"


@dataclass(frozen=True)
class Timeouts:
    """How long to wait for the server [s].

    Attributes:
        connect: For the first connection, when the node configures itself.
        bind: For the server to fit its policy to the robot, which tries it out, when the node
            configures itself.
        act: For an action, with everything that it takes to connect again.
    """

    connect: float = 10.0
    bind: float = 120.0
    act: float = 2.0


class RemoteBackend(PolicyBackend):
    """The client of `salus_policies.backends.remote.server`.

    A lost server costs actions, never the node: `act` raises PolicyOutputError, so nothing is
    executed, and each next observation tries to connect again. A server that comes back with
    another policy is refused, as the signals before and after would not be comparable.

    Args:
        address: (host, port) of the server.
        timeouts: How long to wait for it.
        security: What it is shown, and how it is known.
    """

    def __init__(
        self, address: tuple[str, int], timeouts: Timeouts, security: ClientSecurity | None = None
    ):
        self._address = address
        self._security = security or ClientSecurity()
        self._timeouts = timeouts
        self._connection: socket.socket | None = None
        self._robot: RobotDescription | None = None
        self._info: PolicyInfo | None = None

    @classmethod
    def load(cls, checkpoint: str, options: LoadOptions) -> "RemoteBackend":
        """Connects to HOST:PORT; "default" is this machine's port 5555."""
        backend = cls(_address(checkpoint), *_settings(options.config))
        try:
            backend._info = backend._connect(time.monotonic() + backend._timeouts.connect)
        except OSError as error:
            raise BackendError(f"{backend._name} cannot be used: {error}; {HINT}") from error
        return backend

    @property
    def _name(self) -> str:
        return "policy server {}:{}".format(*self._address)

    @property
    def info(self) -> PolicyInfo:
        """What the server's policy is, needs and gives."""
        assert self._info is not None
        return self._info

    def bind(self, robot: RobotDescription) -> None:
        """Lets the server fit its policy to the robot."""
        self._robot = robot
        try:
            self._bind(self._timeouts.bind)
        except OSError as error:
            raise BackendError(f"{self._name} was lost: {error}") from error

    def reset(self) -> None:
        """Begins an episode on the server; if it is gone, `act` begins it when it is back."""
        if self._connection is not None:
            try:
                self._ask(Message("reset"), self._timeouts.act)
            except OSError:
                self._close()

    def act(self, observation: Observation) -> PolicyOutput:
        """Asks the server for an action; see PolicyBackend.act."""
        deadline = time.monotonic() + self._timeouts.act
        while True:
            try:
                if self._connection is None:
                    self._reconnect(deadline)
                message = protocol.observation_message(observation)
                return protocol.read_output(self._ask(message, deadline - time.monotonic()))
            except BackendError as error:
                self._close()
                raise PolicyOutputError(str(error)) from error
            except OSError as error:
                # A connection that broke says nothing of a server that is back already.
                self._close()
                if isinstance(error, TimeoutError) or time.monotonic() + RETRY >= deadline:
                    raise PolicyOutputError(
                        f"{self._name} gives no answer within {self._timeouts.act} s ({error}); "
                        "trying again at the next observation"
                    ) from error
                time.sleep(RETRY)

    def _reconnect(self, deadline: float) -> None:
        info = self._connect(deadline)
        others = _differences(info, self.info)
        if others:
            raise BackendError(
                f"{self._name} is back with another policy ('{info.policy}', hash "
                f"{info.weights_hash[:12]}, other {', '.join(others)}): call load_checkpoint to "
                "use it"
            )
        # A server that needs longer goes on with it, and is ready at one of the next attempts.
        if self._robot is not None:
            self._bind(max(deadline - time.monotonic(), RETRY))
        self._ask(Message("reset"), max(deadline - time.monotonic(), RETRY))

    def _bind(self, timeout: float) -> None:
        robot = self._robot.to_dict() if self._robot else {}
        self._ask(Message("bind", {"robot": robot}), timeout)

    def _connect(self, deadline: float) -> PolicyInfo:
        while True:
            left = max(deadline - time.monotonic(), RETRY)
            try:
                self._connection = socket.create_connection(self._address, timeout=left)
                self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._security.context is not None:
                    self._connection = self._security.context.wrap_socket(
                        self._connection, server_hostname=self._address[0]
                    )
                left = max(deadline - time.monotonic(), RETRY)
                hello = {"protocol": protocol.PROTOCOL, "token": self._security.token}
                return protocol.read_info(self._ask(Message("hello", hello), left))
            except ConnectionRefusedError:
                self._close()
                if time.monotonic() + RETRY >= deadline:
                    raise
                time.sleep(RETRY)
            except OSError:
                self._close()
                raise

    def _ask(self, message: Message, timeout: float) -> Message:
        assert self._connection is not None
        until = time.monotonic() + max(timeout, 1e-3)
        self._connection.settimeout(max(timeout, 1e-3))
        protocol.send(self._connection, message)
        limits = protocol.WELCOME if message.kind == "hello" else protocol.OUTPUT
        left = max(until - time.monotonic(), 1e-3)
        answer = protocol.receive(self._connection, limits, within=left)
        if answer.kind != "error":
            return answer
        text = str(answer.fields.get("message", "no reason given"))
        if answer.fields.get("type") == "output":
            raise PolicyOutputError(text)
        if answer.fields.get("type") == "backend":
            raise BackendError(f"{self._name}: {text}")
        raise ProtocolError(text)

    def _close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.close()
            self._connection = None


def _differences(one: PolicyInfo, other: PolicyInfo) -> list[str]:
    """Fields that differ, but for where the policy lies and what it runs on."""
    same = {"policy", "device"}
    messages = [protocol.info_message(info) for info in (one, other)]
    fields, others = (message.fields["info"] for message in messages)
    found = [name for name in fields if name not in same and fields[name] != others.get(name)]
    arrays, known = (message.arrays for message in messages)
    if arrays.keys() != known.keys() or any(
        not np.array_equal(arrays[name], known[name]) for name in arrays
    ):
        found.append("latent_statistics")
    return found


def _address(checkpoint: str) -> tuple[str, int]:
    if checkpoint == "default":
        return "127.0.0.1", protocol.PORT
    host, _, port = checkpoint.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise BackendError(
            f"backend 'remote': checkpoint must be HOST:PORT of a policy server, is '{checkpoint}'"
        )
    return host.strip("[]"), int(port)


def _settings(config: str) -> tuple[Timeouts, ClientSecurity]:
    if not config:
        return Timeouts(), ClientSecurity.of({})
    options = read_yaml(Path(config).expanduser())
    given = {name: options.text(name, "") for name in ClientSecurity.SETTINGS}
    found = Timeouts(
        **{
            name: options.number(name, getattr(Timeouts, name), 0.01)
            for name in ("connect", "bind", "act")
        }
    )
    options.end()
    return found, ClientSecurity.of(given)
