import os
import signal
import subprocess
from pathlib import Path

import pytest

# A domain of their own: tests never meet the nodes of a running suite.
DOMAIN = os.environ.get("SALUS_TEST_DOMAIN_ID", "66")


@pytest.fixture(scope="session")
def ros2():
    """Environment in which `ros2` is the distribution's, or this repository's subset of it."""
    environment = {
        **os.environ,
        "ROS_DOMAIN_ID": DOMAIN,
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
    }
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
