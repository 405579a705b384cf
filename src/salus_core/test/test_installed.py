# SPDX-License-Identifier: Apache-2.0
"""The core in an empty virtual environment, installed by pip alone: no ROS, no simulator."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from made_up_runs import write_runs

from salus_core.data.testing import make_steps

PACKAGE = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def salus(tmp_path_factory):
    """The command `salus` of an environment that has nothing else but pip's settings."""
    venv = tmp_path_factory.mktemp("environment") / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    # A copy: pip builds in the source folder, and what an earlier build left would be installed.
    source = tmp_path_factory.mktemp("source") / PACKAGE.name
    left = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
    shutil.copytree(PACKAGE, source, ignore=left)
    torch = "torch==2.13.0"  # the build that pip has in its cache after ./salus.sh setup
    install = [venv / "bin/pip", "install", "--quiet", f"{source}[predictors]", torch]
    kept = {k: v for k, v in os.environ.items() if k.startswith("PIP_") or k in ("HOME", "PATH")}
    subprocess.run(install, check=True, env=kept)

    def run(*arguments, cwd):
        return subprocess.run(
            [venv / "bin/salus", *arguments],
            cwd=cwd,
            env={"HOME": str(cwd), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )

    return run


@pytest.mark.slow
def test_a_recorded_run_is_trained_on_and_evaluated_without_ros(salus, tmp_path):
    runs, splits = write_runs(tmp_path, make_steps(140, seed=3))
    settings = [f"data.runs=[{runs}]", f"data.splits={splits}", "training.epochs=1"]
    done = salus(
        "train", "temporal", *settings, "calibration.alpha=0.5", "output=out", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    done = salus("evaluate", "out/checkpoint", "--output", "report", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report/report.md").is_file()


@pytest.mark.slow
def test_what_is_not_installed_is_named_with_its_remedy(salus, tmp_path):
    done = salus("replay", "bag", "--checkpoint", "out", cwd=tmp_path)
    assert done.returncode == 1
    assert "pip install 'salus_core[bags,predictors]'" in done.stderr
    done = salus("trian", cwd=tmp_path)
    assert done.returncode == 2
    assert "did you mean 'train'?" in done.stderr
