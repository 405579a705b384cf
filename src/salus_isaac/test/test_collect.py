# SPDX-License-Identifier: Apache-2.0
"""`collect.launch.py simulator:=isaac` from end to end, with the simulator of the tests."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import zarr
from ament_index_python.packages import PackageNotFoundError, get_package_prefix

pytestmark = [pytest.mark.ros, pytest.mark.slow]

HERE = Path(__file__).parent


@pytest.fixture
def environment(tmp_path):
    try:
        get_package_prefix("salus")
    except PackageNotFoundError:
        pytest.skip("needs the package salus")
    python = tmp_path / "python.sh"
    answer = json.dumps([[3, 12], []])
    python.write_text(
        f"#!/bin/bash\nif [ \"$1\" = -c ]; then echo '{answer}'; exit; fi\n"
        f'exec "{sys.executable}" "{HERE / "fake_main.py"}" "$@"\n'
    )
    python.chmod(0o755)
    tools = HERE.parents[3] / "tools/ros2/bin"
    return {
        **os.environ,
        "SALUS_ISAAC_PYTHON": str(python),
        "ROS_DISTRO": "jazzy",
        "PATH": f"{os.environ['PATH']}:{tools}",
    }


def test_referee_policy_supervisor_and_recorder_work_with_it_unchanged(environment, tmp_path):
    done = subprocess.run(
        [
            *("ros2", "launch", "--noninteractive", "salus", "collect.launch.py"),
            *("simulator:=isaac", "episodes:=2", "seed:=3", "faults:=mixed"),
            f"output:={tmp_path / 'runs'}",
        ],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert "isaac_world" in done.stdout + done.stderr
    (run,) = (tmp_path / "runs").iterdir()
    data = zarr.open(run / "data.zarr", mode="r")
    ends = data["meta/episode_ends"][:]
    assert len(ends) == 2
    assert data["data/image/front"].shape == (ends[-1], 256, 256, 3)
    assert int(data["meta/episode/gaps"][:].sum()) == 0
