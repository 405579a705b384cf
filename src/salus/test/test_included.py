# SPDX-License-Identifier: Apache-2.0
"""SALUS's launch files within somebody's own bring-up."""

import signal
import subprocess

import pytest

pytestmark = pytest.mark.ros

BRINGUP = """
import sys

from launch import LaunchDescription
from launch.actions import ExecuteProcess, IncludeLaunchDescription, RegisterEventHandler
from launch.event_handlers import OnProcessExit
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare


def generate_launch_description():
    python = sys.executable
    monitor = PathJoinSubstitution([FindPackageShare("salus"), "launch", "monitor.launch.py"])
    driver = "import time; print('driver runs', flush=True); time.sleep(600)"
    spawner = ExecuteProcess(cmd=[python, "-c", "print('spawned')"], name="spawner")
    late = "import time; time.sleep(1); print('after the spawner')"
    after = ExecuteProcess(cmd=[python, "-c", late], name="after", output="screen")
    return LaunchDescription([
        ExecuteProcess(cmd=[python, "-c", driver], name="driver", output="screen"),
        RegisterEventHandler(OnProcessExit(target_action=spawner, on_exit=[after])),
        spawner,
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(monitor),
            launch_arguments=ARGUMENTS.items(),
        ),
    ])
"""
NO_POLICY = {"policy": "none", "predictor": "none"}
NO_PREDICTOR = {"policy": "none", "predictor": "/nowhere"}


class Bringup:
    def __init__(self, environment, folder, arguments):
        file = folder / "bringup.launch.py"
        file.write_text(BRINGUP.replace("ARGUMENTS", repr(arguments)))
        self.lines = []
        self.process = subprocess.Popen(
            ["ros2", "launch", "--noninteractive", str(file)],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def read_until(self, *texts):
        wanted = list(texts)
        for line in self.process.stdout:
            self.lines.append(line)
            wanted = [text for text in wanted if text not in line]
            if not wanted:
                return
        pytest.fail(f"ended without {wanted}:\n{''.join(self.lines)}")

    def end(self):
        self.process.send_signal(signal.SIGINT)
        self.lines.append(self.process.communicate(timeout=90)[0])


@pytest.fixture
def bringup(ros2, tmp_path):
    begun = []

    def begin(**arguments):
        begun.append(Bringup(ros2, tmp_path, arguments))
        return begun[-1]

    yield begin
    for launched in begun:
        if launched.process.poll() is None:
            launched.end()


def test_a_spawner_that_ends_ends_nothing_of_the_bringup(bringup):
    launched = bringup(**NO_POLICY)
    # Had the spawner's end ended anything, the process that follows it would not run to its end.
    launched.read_until("driver runs", "no checkpoint", "after the spawner", "after-", "finished")
    assert launched.process.poll() is None
    assert "sending signal" not in "".join(launched.lines)


def test_a_node_of_salus_that_dies_is_named_and_the_bringup_goes_on(bringup):
    launched = bringup(**NO_PREDICTOR)
    launched.read_until("predictor_node-3 ended with code 1", "driver runs")
    assert launched.process.poll() is None


def test_a_bringup_may_ask_to_end_with_salus(bringup):
    launched = bringup(**NO_PREDICTOR, on_exit="shutdown")
    output = launched.process.communicate(timeout=90)[0]
    assert launched.process.returncode == 1
    assert "predictor_node-3 ended with code 1" in output
