# SPDX-License-Identifier: Apache-2.0
"""Serves any backend to one VLA node at a time; needs no ROS.

python -m salus_policies.backends.remote.server --policy smolvla --checkpoint PATH
"""

import argparse
import contextlib
import logging
import signal
import socket
import sys
import threading
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
from salus_policies.robot import RobotDescription, RobotError

HELLO_PATIENCE = 5.0
"""How long a client may take to say hello, as it keeps others out [s]."""

log = logging.getLogger("policy_server")


class PolicyServer:
    """Answers one client; a second one is told that the server is busy.

    A policy has a state (its episode), so it serves one environment.

    Args:
        backend: The loaded policy.
        host: Address to listen at.
        port: Port; 0: any free one.
    """

    def __init__(self, backend: PolicyBackend, host: str, port: int):
        self._backend = backend
        self._lock = threading.Lock()
        self._bound: RobotDescription | None = None
        self._listener = socket.create_server((host, port))
        self.address: tuple[str, int] = self._listener.getsockname()[:2]

    def serve(self) -> None:
        """Accepts clients until `close`."""
        while True:
            try:
                connection, client = self._listener.accept()
            except OSError:
                return
            name = f"{client[0]}:{client[1]}"
            threading.Thread(target=self._serve, args=(connection, name), daemon=True).start()

    def close(self) -> None:
        """Stops listening."""
        # Closing alone does not wake a thread that waits in accept.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self, connection: socket.socket, client: str) -> None:
        with connection:
            _keep_alive(connection)
            connection.settimeout(HELLO_PATIENCE)
            if not self._lock.acquire(blocking=False):
                with contextlib.suppress(OSError):
                    protocol.receive(connection)  # closing on unread bytes would cut the answer off
                    protocol.send(connection, _error("protocol", "the policy server is busy"))
                return
            log.info("%s: connected", client)
            try:
                protocol.send(connection, self._answer(protocol.receive(connection)))
                connection.settimeout(None)
                while True:
                    protocol.send(connection, self._answer(protocol.receive(connection)))
            except ProtocolError as error:
                log.warning("%s: %s", client, error)
                with contextlib.suppress(OSError):
                    protocol.send(connection, _error("protocol", str(error)))
            except OSError as error:
                log.info("%s: disconnected (%s)", client, error)
            finally:
                self._lock.release()

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
    given: Any = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="[%(name)s] %(message)s", stream=sys.stderr)
    try:
        options = LoadOptions(given.device, given.precision, given.threads, given.config)
        backend = backend_class(given.policy).load(given.checkpoint, options)
        server = PolicyServer(backend, given.host, given.port)
    except (BackendError, OSError) as error:
        log.error("cannot serve: %s", error)
        return 1
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: server.close())
    info = backend.info
    print(f"serving {info.backend} '{info.policy}' at {server.address[0]}:{server.address[1]}")
    sys.stdout.flush()
    server.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
