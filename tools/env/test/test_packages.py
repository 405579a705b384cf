# SPDX-License-Identifier: Apache-2.0
"""What colcon sees in the repository, and that each package builds when it is copied alone."""

import ast
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from ament_index_python.packages import get_package_prefix

ROOT = Path(__file__).resolve().parents[3]
ROSDEP = {
    "PIL": "python3-pil",
    "matplotlib": "python3-matplotlib",
    "numpy": "python3-numpy",
    "hypothesis": "python3-hypothesis",
    "pytest": "python3-pytest",
    "scipy": "python3-scipy",
    "sklearn": "python3-sklearn",
    "tqdm": "python3-tqdm",
    "yaml": "python3-yaml",
}
"""Keys of rosdep, by module."""
ON_PYPI = {
    *("google_crc32c", "lerobot", "lz4", "mcap", "mujoco", "numcodecs", "rosbags"),
    *(
        "safetensors",
        "torch",
        "transformers",
        "zarr",
        "zstandard",
        "tensorboard",
        "huggingface_hub",
        "timm",
    ),
}
"""Modules that pip installs: setup.py or docs/dependencies.md names them."""
OF_ISAAC = {"isaacsim", "omni", "carb", "pxr", "usdrt"}
OPTIONAL = {"salus": {"salus_isaac"}}
"""Imported only when they are asked for: who drives MuJoCo or a robot installs no bridge."""
NOT_IMPORTED = {"ros2bag", "ros2launch", "rosbag2_storage_mcap"}
"""What launch files call by name."""
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


def imported(folder):
    """Top-level modules that the Python files of a folder import, but for the standard library."""
    found = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split(".")[0])
    return found - sys.stdlib_module_names - {"__future__"}


@pytest.mark.parametrize("package", [name for name in PACKAGES if name != "salus_msgs"])
def test_what_a_package_imports_is_declared_and_nothing_else(package):
    folder = ROOT / "src" / package
    document = ElementTree.parse(folder / "package.xml").getroot()
    declared = {entry.text for entry in document.findall("exec_depend")}
    sources = imported(folder / package) | imported(folder / "launch")
    sources -= ON_PYPI | OF_ISAAC | {package} | OPTIONAL.get(package, set())
    used = {ROSDEP.get(module, module) for module in sources}
    assert used - declared == set(), "imported, not declared"
    entry_points = (folder / "setup.py").read_text()
    spare = {name for name in declared - used - NOT_IMPORTED if f"= {name}." not in entry_points}
    launched = "".join(file.read_text() for file in (folder / "launch").glob("*.py"))
    assert {name for name in spare if f'"{name}"' not in launched} == set(), (
        "declared, not imported"
    )
    assert document.find("url") is not None
    assert document.find("author") is not None


DISTRIBUTIONS = {
    "PIL": "pillow",
    "google_crc32c": "google-crc32c",
    "sklearn": "scikit-learn",
    "yaml": "PyYAML",
}
"""Names on PyPI that differ from their modules'."""
OF_A_POLICY = {"huggingface_hub", "lerobot", "timm", "transformers"}
"""Libraries of published policies, which pin versions of their own; see docs/backends.md."""


@pytest.mark.parametrize("package", ["salus_core", "salus_policies", "salus_studies"])
def test_what_a_package_free_of_ros_imports_comes_with_pip(package, monkeypatch):
    folder = ROOT / "src" / package
    given = {}
    monkeypatch.setattr("setuptools.setup", given.update)
    monkeypatch.chdir(folder)
    runpy.run_path(str(folder / "setup.py"))
    extras = given.get("extras_require", {}).values()
    lines = [*given["install_requires"], *(line for extra in extras for line in extra)]
    installed = {re.split(r"[\[<>=]", line)[0] for line in lines}
    if package == "salus_studies":  # the packages that it builds on bring these
        installed |= {"numpy", "PyYAML", "torch", "safetensors"}
    modules = imported(folder / package) - OF_A_POLICY - {package}
    assert {DISTRIBUTIONS.get(module, module) for module in modules} - installed == set()
