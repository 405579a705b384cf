# SPDX-License-Identifier: Apache-2.0
import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROS2 = Path(__file__).resolve().parents[1] / "bin" / "ros2"
# Where upstream's ros2 is installed, ours runs it: these tests then say whether both behave alike.
UPSTREAM = importlib.util.find_spec("ros2cli") is not None


def pytest_configure(config):
    config.addinivalue_line("markers", "differs: upstream's ros2 behaves otherwise, or lacks it")


class Running:
    """A command that runs while a test looks at it."""

    def __init__(self, command, environment, cwd):
        self.log = Path(cwd) / f"output-{time.monotonic_ns()}.txt"
        with self.log.open("w") as file:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=cwd,
            )

    def output(self):
        return self.log.read_text()

    def wait_for(self, text, seconds=30.0):
        end = time.monotonic() + seconds
        while text not in self.output():
            assert time.monotonic() < end, f"no {text!r} in:\n{self.output()}"
            assert self.process.poll() is None or text in self.output(), self.output()
            time.sleep(0.02)

    def interrupt(self, number=signal.SIGINT, seconds=30.0):
        self.process.send_signal(number)
        return self.wait(seconds)

    def wait(self, seconds=30.0):
        return self.process.wait(seconds)


def pytest_runtest_setup(item):
    if UPSTREAM and item.get_closest_marker("differs"):
        pytest.skip("differs from upstream's ros2: see docs/launch.md")


@pytest.fixture
def environment(tmp_path):
    return {
        **os.environ,
        # Nodes of other tests in this process would be listed, too.
        "ROS_DOMAIN_ID": str(int(os.environ["ROS_DOMAIN_ID"]) + 20),
        "ROS_LOG_DIR": str(tmp_path / "log"),
        "PYTHONUNBUFFERED": "1",
    }


@pytest.fixture
def ros2(tmp_path, environment):
    """Run a ros2 command to its end; return (exit code, what it printed)."""

    def run(*arguments, seconds=60.0):
        done = subprocess.run(
            [sys.executable, str(ROS2), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            cwd=tmp_path,
            timeout=seconds,
        )
        return done.returncode, done.stdout

    return run


@pytest.fixture
def start(tmp_path, environment):
    """Start a command (a ros2 one, or any Python script) that the test ends itself."""
    running = []

    def run(*arguments, script=False):
        command = [sys.executable] if script else [sys.executable, str(ROS2)]
        running.append(Running([*command, *map(str, arguments)], environment, tmp_path))
        return running[-1]

    yield run
    for item in running:
        if item.process.poll() is None:
            item.process.kill()
            item.process.wait()


@pytest.fixture
def launch_file(tmp_path):
    """Write a launch file whose description has the given entities."""

    def write(entities, *, name="test.launch.py", before=""):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            "import sys\n"
            "from launch import LaunchDescription\n"
            "from launch.actions import *\n"
            "from launch.conditions import *\n"
            "from launch.event_handlers import *\n"
            "from launch.events import matches_action, process\n"
            "from launch.launch_description_sources import *\n"
            "from launch.substitutions import *\n"
            "from launch_ros.actions import *\n"
            "from launch_ros.parameter_descriptions import *\n"
            "from launch_ros.substitutions import *\n"
            "def say(*words, **more):\n"
            "    return ExecuteProcess(cmd=['echo', *words], output='screen', **more)\n"
            "def python(code, **more):\n"
            "    return ExecuteProcess(\n"
            "        cmd=[sys.executable, '-c', code], output='screen', **more)\n"
            f"{before}\n"
            "def generate_launch_description():\n"
            f"    return LaunchDescription([{entities}])\n"
        )
        return path

    return write
