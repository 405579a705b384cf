# SPDX-License-Identifier: Apache-2.0
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def ros2():
    """Environment in which `ros2` is the distribution's, or this repository's subset of it."""
    environment = dict(os.environ)
    tools = Path(__file__).resolve().parents[3] / "tools/ros2/bin"
    if tools.is_dir():
        environment["PATH"] = f"{environment['PATH']}:{tools}"
    return environment


@pytest.fixture(scope="session")
def launch(ros2, tmp_path_factory):
    """Run a launch file of this package to its end, as a user would; return process and output."""
    folder = tmp_path_factory.mktemp("launch")

    def run(file, *arguments, timeout=600):
        process = subprocess.Popen(
            ["ros2", "launch", "--noninteractive", "salus", file, *arguments],
            cwd=folder,
            env=ros2,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)  # launch ends its nodes
            output, _ = process.communicate(timeout=60)
            pytest.fail(f"not done after {timeout} s:\n{output[-4000:]}")
        return process.returncode, output

    return run


class Collection:
    """`ros2 launch salus collect.launch.py` in the background, read line by line."""

    def __init__(self, environment, folder, *arguments):
        self.lines = []
        self.runs = folder / "runs"
        launch = ("ros2", "launch", "--noninteractive", "salus", "collect.launch.py")
        self.process = subprocess.Popen(
            [*launch, f"output:={self.runs}", *arguments],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def read_until(self, text):
        for line in self.process.stdout:
            self.lines.append(line)
            if text in line:
                return
        pytest.fail(f"ended without {text!r}:\n{''.join(self.lines[-40:])}")

    def pids(self):
        started = r"\[(\w+)-\d+\]: process started with pid \[(\d+)\]"
        return {name: int(pid) for name, pid in re.findall(started, "".join(self.lines))}

    def stop(self, number=signal.SIGINT):
        self.process.send_signal(number)

    def finish(self, timeout=120):
        output, _ = self.process.communicate(timeout=timeout)
        self.lines.append(output)
        return self.process.returncode, "".join(self.lines)


@pytest.fixture(scope="module")
def begin(ros2, tmp_path_factory):
    """Begin a collection; whatever still runs at the end of the module is stopped."""
    begun = []

    def start(*arguments):
        begun.append(Collection(ros2, tmp_path_factory.mktemp("collection"), *arguments))
        return begun[-1]

    yield start
    for collection in begun:
        if collection.process.poll() is None:
            collection.stop()
            collection.finish()
