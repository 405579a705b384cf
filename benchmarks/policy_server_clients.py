# SPDX-License-Identifier: Apache-2.0
"""What a policy server's client waits for, alone and beside clients that misbehave.

    python benchmarks/policy_server_clients.py [--steps 2000]

One client asks for actions at 30 Hz: first alone, then beside one that drips a byte every 3 s, one
that sends half a frame, one with another token, and one that announces 1 GiB; each comes again as
soon as it is dropped. Prints percentiles of the waiting time of both, and their difference.
"""

import argparse
import contextlib
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src/salus_policies/test"))
from numpy_backend import NumpyBackend, make_checkpoint
from test_action_space import ROBOT, observation

from salus_policies.backends.base import LoadOptions
from salus_policies.backends.remote import protocol, server
from salus_policies.backends.remote.backend import RemoteBackend, Timeouts
from salus_policies.backends.remote.security import ClientSecurity

TOKEN = "a token of a benchmark"
PERIOD = 1 / 30
BEGIN = protocol.PREFIX.pack(b"SLVP", 100, 0)
WRONG = protocol.Message("hello", {"protocol": protocol.PROTOCOL, "token": "another token of 16"})


def drip(connection):
    """A byte every 3 s."""
    for byte in BEGIN:
        connection.sendall(bytes([byte]))
        time.sleep(3.0)


def half(connection):
    """Half a frame, then nothing."""
    connection.sendall(BEGIN[:10])


def stranger(connection):
    """A whole hello with a token that is another."""
    protocol.send(connection, WRONG)


def gigabyte(connection):
    """An announcement of 1 GiB."""
    connection.sendall(protocol.PREFIX.pack(b"SLVP", 100, 1 << 30))


def misbehave(address, how, stop):
    """Come again and again until told to stop."""
    while not stop.is_set():
        with contextlib.suppress(OSError), socket.create_connection(address, timeout=10) as one:
            how(one)
            while one.recv(4096):
                pass


def waits(backend, steps):
    """Time until each action has come [ms]."""
    found = np.empty(steps)
    seen = observation(images={"front": np.zeros((32, 32, 3), np.uint8)})
    for step in range(steps):
        begin = time.perf_counter()
        backend.act(seen)
        found[step] = 1e3 * (time.perf_counter() - begin)
        time.sleep(max(0.0, PERIOD - 1e-3 * found[step]))
    return found


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000)
    steps = parser.parse_args().steps
    with tempfile.TemporaryDirectory() as folder:
        policy = NumpyBackend.load(str(make_checkpoint(Path(folder) / "policy")), LoadOptions())
        serving = server.PolicyServer(policy, "127.0.0.1", 0, TOKEN)
        threading.Thread(target=serving.serve, daemon=True).start()
        backend = RemoteBackend(serving.address, Timeouts(), ClientSecurity(TOKEN))
        backend._info = backend._connect(time.monotonic() + 5.0)
        backend.bind(ROBOT)
        results = {"alone": waits(backend, steps)}
        stop = threading.Event()
        for how in (drip, half, stranger, gigabyte):
            threading.Thread(
                target=misbehave, args=(serving.address, how, stop), daemon=True
            ).start()
        results["beside four"] = waits(backend, steps)
        stop.set()
        serving.close()
    for name, found in results.items():
        p50, p99, most = np.percentile(found, [50, 99, 100])
        print(f"{name:12} p50 {p50:6.2f} ms   p99 {p99:6.2f} ms   max {most:6.2f} ms")
    p99 = [np.percentile(found, 99) for found in results.values()]
    print(f"p99 {p99[1] - p99[0]:+.2f} ms")


if __name__ == "__main__":
    main()
