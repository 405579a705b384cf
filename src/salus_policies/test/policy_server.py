# SPDX-License-Identifier: Apache-2.0
"""A policy server as a process of its own, that can be killed and started again."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class ServerProcess:
    def __init__(self, checkpoint, policy="numpy_backend:NumpyBackend", python=sys.executable):
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._command = [
            *(python, "-m", "salus_policies.backends.remote.server"),
            *("--policy", policy, "--checkpoint", str(checkpoint), "--port", str(self.port)),
        ]
        self._process = None

    def start(self):
        here = str(Path(__file__).parent)
        path = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
        self._process = subprocess.Popen(
            self._command,
            env={**os.environ, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said = ""  # a policy's library may talk first
        for line in self._process.stdout:
            said += line
            if line.startswith("serving"):
                return self
        raise AssertionError(said)

    def stop(self, number=signal.SIGKILL):
        if self._process is not None:
            self._process.send_signal(number)
            code = self._process.wait(20)
            self._process.stdout.close()
            self._process = None
            return code
        return None

    def freeze(self):
        """Stop the process; returns once it is stopped, as the signal alone is not awaited."""
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)

    def thaw(self):
        self._process.send_signal(signal.SIGCONT)
