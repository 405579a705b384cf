# SPDX-License-Identifier: Apache-2.0
"""Serves any backend to one VLA node at a time, or to several; needs no ROS.

python -m salus_policies.backends.remote.server --policy smolvla --checkpoint PATH
"""

import argparse
import contextlib
import logging
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from salus_policies.backends.base import (
    DEVICES,
    PRECISIONS,
    BackendError,
    LoadOptions,
    Observation,
    PolicyBackend,
    PolicyOutputError,
)
from salus_policies.backends.registry import backend_class
from salus_policies.backends.remote import protocol
from salus_policies.backends.remote.protocol import Message, ProtocolError
from salus_policies.backends.remote.security import (
    TOKEN,
    is_local,
    read_token,
    same_token,
    server_context,
)
from salus_policies.robot import RobotDescription, RobotError

HELLO_PATIENCE = 5.0
"""How long a client may take to say who it is [s]."""
MESSAGE_PATIENCE = 5.0
"""How long a message may take from its first byte to its last [s]."""
DAY = 86400.0
IDLE = 30.0
"""A client that has been silent for so long gives way to another one [s]."""
MAX_CONNECTIONS = 64
"""Clients that are listened to at a time; most of them have not said hello yet."""

log = logging.getLogger("policy_server")


@dataclass
class _Session:
    """A client that has the policy."""

    connection: socket.socket
    heard: float


class PolicyServer:
    """Gives a policy to one client at a time; others are told that the server is busy.

    A policy has a state (its episode), so it serves one environment; for several robots load it
    several times. Whoever is slow, silent, unknown or announces too much costs the others nothing:
    it has a thread of its own, and the policy only after a whole hello.

    Args:
        backends: The loaded policy, once for each client that is served at a time.
        host: Address to listen at.
        port: Port; 0: any free one.
        token: That clients must show; empty: none.
        context: Of TLS; None: connections are plain.
        idle: A client that has been silent for so long gives way to another one [s].
    """

    def __init__(
        self,
        backends: PolicyBackend | Sequence[PolicyBackend],
        host: str,
        port: int,
        token: str = "",
        context: ssl.SSLContext | None = None,
        idle: float = IDLE,
    ):
        given = [backends] if isinstance(backends, PolicyBackend) else list(backends)
        self._slots = [_Slot(backend) for backend in given]
        self._limits = protocol.act_limits(given[0].info)
        self._token, self._context, self._idle = token, context, idle
        self._lock = threading.Lock()
        self._connections = 0
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family)
        self.address: tuple[str, int] = self._listener.getsockname()[:2]

    def serve(self) -> None:
        """Accepts clients until `close`."""
        while True:
            try:
                connection, client = self._listener.accept()
            except OSError:
                return
            name = f"{client[0]}:{client[1]}"
            with self._lock:
                full = self._connections >= MAX_CONNECTIONS
                self._connections += not full
            if full:
                log.warning("%s: refused: %d clients are connected", name, MAX_CONNECTIONS)
                connection.close()
                continue
            threading.Thread(target=self._serve, args=(connection, name), daemon=True).start()

    def close(self) -> None:
        """Stops listening."""
        # Closing alone does not wake a thread that waits in accept.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self, connection: socket.socket, client: str) -> None:
        try:
            _keep_alive(connection)
            connection.settimeout(HELLO_PATIENCE)
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            with connection:
                self._greet(connection, client)
        except ProtocolError as error:
            log.warning("%s: %s", client, error)
        except OSError as error:
            log.info("%s: disconnected (%s)", client, error)
        finally:
            connection.close()
            with self._lock:
                self._connections -= 1

    def _greet(self, connection: socket.socket, client: str) -> None:
        """Hears a hello, and gives the client a slot if there is one."""
        try:
            hello = protocol.receive(connection, protocol.HELLO, within=HELLO_PATIENCE)
            if hello.kind != "hello":
                raise ProtocolError(f"the first message must be 'hello', is '{hello.kind[:40]}'")
            if self._token and not same_token(self._token, hello.fields.get("token")):
                raise ProtocolError(
                    "the token is another than the server's: give both the same (token_file, or "
                    f"the environment variable {TOKEN})"
                )
            session = _Session(connection, time.monotonic())
            slot = self._take(session)
            if slot is None:
                raise ProtocolError("the policy server is busy")
        except ProtocolError as error:
            with contextlib.suppress(OSError):
                protocol.send(connection, _error("protocol", str(error)))
            raise
        log.info("%s: connected", client)
        try:
            slot.talk(session, hello, self._limits)
        except ProtocolError as error:
            with contextlib.suppress(OSError):
                protocol.send(connection, _error("protocol", str(error)))
            raise
        finally:
            with self._lock:
                slot.session = None

    def _take(self, session: _Session) -> "_Slot | None":
        """A free slot; if there is none, that of a client that has been silent too long."""
        until = time.monotonic() + HELLO_PATIENCE
        while True:
            with self._lock:
                free = [slot for slot in self._slots if slot.session is None]
                if free:
                    free[0].session = session
                    return free[0]
                sessions = [slot.session for slot in self._slots if slot.session]
                oldest = min(sessions, key=lambda one: one.heard)
                silent = time.monotonic() - oldest.heard
            if silent < self._idle or time.monotonic() > until:
                return None
            with contextlib.suppress(OSError):
                oldest.connection.shutdown(socket.SHUT_RDWR)
            time.sleep(0.01)


class _Slot:
    """One loaded policy, and the client that has it."""

    def __init__(self, backend: PolicyBackend):
        self.session: _Session | None = None
        self._backend = backend
        self._bound: RobotDescription | None = None

    def talk(self, session: _Session, hello: Message, limits: protocol.Limits) -> None:
        """Answers a client until it goes.

        Raises:
            ProtocolError: It sends what is no message, or too much.
            OSError: It is gone, or a message of it does not come to its end.
        """
        connection, message = session.connection, hello
        while True:
            answer = self._answer(message)
            connection.settimeout(MESSAGE_PATIENCE)
            protocol.send(connection, answer)
            session.heard = time.monotonic()
            message = protocol.receive(connection, limits, within=MESSAGE_PATIENCE, idle=DAY)
            session.heard = time.monotonic()

    def _answer(self, message: Message) -> Message:
        try:
            if message.kind == "hello":
                return self._welcome(message)
            if message.kind == "bind":
                return self._bind(RobotDescription.from_dict(message.fields["robot"]))
            if message.kind == "reset":
                self._backend.reset()
                return Message("done")
            if message.kind == "act":
                return self._act(protocol.read_observation(message))
        except PolicyOutputError as error:
            return _error("output", str(error))
        except (BackendError, RobotError) as error:
            return _error("backend", str(error))
        except ProtocolError:
            raise
        except Exception as error:  # whatever the policy's library throws: the client must know
            log.exception("the policy failed")
            return _error("output", f"the policy failed on the server: {error!r}")
        raise ProtocolError(f"unknown message '{message.kind}'")

    def _welcome(self, message: Message) -> Message:
        version = message.fields.get("protocol")
        if version != protocol.PROTOCOL:
            raise ProtocolError(
                f"the server speaks protocol {protocol.PROTOCOL}, the client {version}: use the "
                "same version of SALUS on both sides"
            )
        return protocol.info_message(self._backend.info)

    def _act(self, observation: Observation) -> Message:
        joints = observation.joint_positions
        if self._bound is not None and joints is not None:
            names = self._bound.joint_names
            if len(joints) != len(names):
                raise PolicyOutputError(
                    f"the observation has {len(joints)} joint positions, but the policy is bound "
                    f"to {len(names)} joints: {', '.join(names)}"
                )
        output = self._backend.act(observation)
        self._backend.info.check(output)
        return protocol.output_message(output)

    def _bind(self, robot: RobotDescription) -> Message:
        # A client that comes back after a break brings the same robot: nothing to try out again.
        if robot != self._bound:
            self._bound = None  # one that fails may leave the policy between two robots
            self._backend.bind(robot)
            self._bound = robot
        return Message("done")


def _error(kind: str, text: str) -> Message:
    return Message("error", {"type": kind, "message": text})


def _keep_alive(connection: socket.socket) -> None:
    """A client whose machine vanished must not keep the server busy for ever."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def main(arguments: list[str] | None = None) -> int:
    """Loads a policy and serves it until it is stopped."""
    parser = argparse.ArgumentParser(prog="server", description=__doc__.splitlines()[0])
    parser.add_argument("--policy", required=True, help="backend, or 'module:class' of one's own")
    parser.add_argument("--checkpoint", default="default", help="folder, name or hub id")
    parser.add_argument("--config", default="", help="policy configuration; default: checkpoint's")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (%(default)s)")
    parser.add_argument("--port", type=int, default=protocol.PORT, help="port (%(default)s)")
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument("--precision", choices=PRECISIONS, default="auto")
    parser.add_argument("--threads", type=int, default=1, help="0: the library's default")
    parser.add_argument(
        "--clients",
        type=int,
        default=1,
        choices=range(1, 17),
        metavar="N",
        help="VLA nodes served at a time; the policy is loaded once for each (%(default)s)",
    )
    parser.add_argument("--token-file", default="", help=f"file with the token; else {TOKEN}")
    parser.add_argument("--tls-certificate", default="", help="file with this server's certificate")
    parser.add_argument("--tls-key", default="", help="file with its key")
    parser.add_argument(
        "--tls-clients", default="", help="file with the authority of clients' certificates"
    )
    given: Any = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="[%(name)s] %(message)s", stream=sys.stderr)
    try:
        token = read_token(given.token_file)
        context = server_context(given.tls_certificate, given.tls_key, given.tls_clients)
        if not is_local(given.host) and not (token or given.tls_clients):
            raise BackendError(
                f"--host {given.host} can be reached from other machines, so clients must show who "
                "they are: give --token-file FILE (openssl rand -hex 32 > FILE; chmod 600 FILE), "
                "or --tls-certificate, --tls-key and --tls-clients"
            )
        options = LoadOptions(given.device, given.precision, given.threads, given.config)
        kind = backend_class(given.policy)
        backends = [kind.load(given.checkpoint, options) for _ in range(given.clients)]
        server = PolicyServer(backends, given.host, given.port, token, context)
    except (BackendError, OSError) as error:
        log.error("cannot serve: %s", error)
        return 1
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: server.close())
    info = backends[0].info
    print(f"serving {info.backend} '{info.policy}' at {server.address[0]}:{server.address[1]}")
    sys.stdout.flush()
    server.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
