# SPDX-License-Identifier: Apache-2.0
"""The policy server in an empty virtual environment, installed by pip alone: no ROS."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCES = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_policy_server_installs_beside_the_core_without_ros(tmp_path):
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    # Copies: pip builds in the source folder, and what an earlier build left would be installed.
    packages = [tmp_path / "src" / name for name in ("salus_core", "salus_policies")]
    left = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
    for package in packages:
        shutil.copytree(SOURCES / package.name, package, ignore=left)
    kept = {k: v for k, v in os.environ.items() if k.startswith("PIP_") or k in ("HOME", "PATH")}
    subprocess.run([venv / "bin/pip", "install", "--quiet", *packages], check=True, env=kept)
    done = subprocess.run(
        [venv / "bin/python", "-m", "salus_policies.backends.remote.server", "--help"],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "--checkpoint" in done.stdout
    assert not list(venv.glob("lib/*/site-packages/rclpy"))
