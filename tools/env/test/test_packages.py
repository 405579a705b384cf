"""What colcon sees in the repository, and that each package builds when it is copied alone."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ament_index_python.packages import get_package_prefix

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = [
    "salus",
    "salus_core",
    "salus_isaac",
    "salus_msgs",
    "salus_policies",
    "salus_predictor_node",
    "salus_recorder",
    "salus_ros",
    "salus_sim",
    "salus_studies",
    "salus_supervisor",
    "salus_vla_node",
]


def test_colcon_lists_the_packages_and_nothing_else():
    done = subprocess.run(
        [sys.executable, "-m", "colcon", "--log-base", os.devnull, "list", "--names-only"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert sorted(done.stdout.split()) == PACKAGES


def test_nothing_at_the_root_shadows_a_package():
    """Upstream's `ros2 launch salus ...` takes a file of that name for a launch file."""
    assert not [name for name in PACKAGES if (ROOT / name).exists()]


def test_the_root_is_no_package():
    assert not [name for name in ("package.xml", "setup.py") if (ROOT / name).exists()]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_builds_when_copied_alone(package, tmp_path):
    source = tmp_path / "src" / package
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src" / package, source, ignore=ignored)
    # Of this workspace only the messages are there, as those of any other package would be.
    prefixes = [get_package_prefix("rclpy")]
    if package != "salus_msgs":
        prefixes.insert(0, get_package_prefix("salus_msgs"))
    environment = {
        **{k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "COLCON_PREFIX_PATH")},
        "AMENT_PREFIX_PATH": os.pathsep.join(prefixes),
        "CMAKE_PREFIX_PATH": os.pathsep.join(prefixes),
    }
    if shutil.which("ninja"):
        environment["CMAKE_GENERATOR"] = "Ninja"
    done = subprocess.run(
        [sys.executable, "-m", "colcon", "build", "--cmake-args", "-DBUILD_TESTING=OFF"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    share = tmp_path / "install" / package / "share" / package
    assert (share / "package.xml").is_file()
    for folder in ("launch", "config"):
        wanted = {path.name for path in (source / folder).glob("*.*")}
        assert wanted <= {path.name for path in share.rglob("*") if path.is_file()}
