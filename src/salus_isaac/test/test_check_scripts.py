# SPDX-License-Identifier: Apache-2.0
import pytest

from salus_isaac.check_scripts import check_script, package_scripts

GOOD = """
from isaacsim import SimulationApp
app = SimulationApp({"headless": True})
import isaacsim.core.experimental.utils.app as app_utils
from isaacsim.core.experimental.prims import Articulation
from isaacsim.core.simulation_manager import SimulationManager
app_utils.enable_extension("isaacsim.ros2.bridge")
app.update()
import rclpy
robot = Articulation("/World/Franka")
robot.get_dof_positions()
SimulationManager.setup_simulation(dt=0.01)
"""

MISTAKES = {
    "deprecated module": (
        "from isaacsim.core.experimental.prims import Articulation",
        "from omni.isaac.core.articulations import Articulation",
        "deprecated-module",
    ),
    "module deprecated since 6.0": (
        "from isaacsim.core.experimental.prims import",
        "from isaacsim.core.prims import",
        "deprecated-module",
    ),
    "deprecated module by import": (
        "import rclpy",
        "import rclpy\nimport isaacsim.core.utils.stage",
        "deprecated-module",
    ),
    "unknown module": ("isaacsim.core.experimental.prims", "isaacsim.core.prim", "unknown-module"),
    "unknown name": ("import Articulation", "import Articulations", "unknown-name"),
    "unknown function": (
        "app_utils.enable_extension",
        "app_utils.enable_extensions",
        "unknown-name",
    ),
    "unknown method": ("get_dof_positions", "get_joint_positions", "unknown-member"),
    "unknown class method": ("setup_simulation", "set_simulation", "unknown-member"),
    "unknown method of the app": ("app.update()", "app.step()", "unknown-member"),
    "unknown setting": ('"headless"', '"headles"', "unknown-setting"),
    "unknown extension": ('"isaacsim.ros2.bridge"', '"isaacsim.ros2_bridge"', "unknown-extension"),
    "deprecated extension": (
        '"isaacsim.ros2.bridge"',
        '"omni.isaac.ros2_bridge"',
        "deprecated-name",
    ),
    "deprecated node type": (
        "import rclpy",
        'import rclpy\nNODES = ["omni.isaac.ros2_bridge.ROS2PublishClock"]',
        "deprecated-name",
    ),
    "bridge never enabled": (
        'app_utils.enable_extension("isaacsim.ros2.bridge")',
        "",
        "bridge-not-enabled",
    ),
    "Isaac Sim's modules before the app": (
        "from isaacsim import SimulationApp",
        "from isaacsim import SimulationApp\nfrom pxr import Gf",
        "import-order",
    ),
    "rclpy before the bridge": (
        "from isaacsim import SimulationApp",
        "import rclpy\nfrom isaacsim import SimulationApp",
        "import-order",
    ),
    "module that imports rclpy, before the bridge": (
        "from isaacsim import SimulationApp",
        "from salus_isaac.world_node import IsaacWorldNode\nfrom isaacsim import SimulationApp",
        "import-order",
    ),
    "module that imports Isaac Sim, before the app": (
        "from isaacsim import SimulationApp",
        "from salus_isaac.isaac_simulator import IsaacSimulator\n"
        "from isaacsim import SimulationApp",
        "import-order",
    ),
    "no Python": ("import rclpy", "import rclpy from", "syntax"),
}


def found(tmp_path, table, text):
    path = tmp_path / "script.py"
    path.write_text(text)
    return check_script(path, table)


def test_the_scripts_of_the_bridge_have_no_findings(table):
    paths = package_scripts()
    assert {path.name for path in paths} == {"bridge.py", "isaac_simulator.py"}
    assert [str(p) for path in paths for p in check_script(path, table)] == []


def test_a_good_script_has_no_findings(tmp_path, table):
    assert found(tmp_path, table, GOOD) == []


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_seeded_mistake_is_found_with_its_line(tmp_path, table, mistake):
    old, new, code = MISTAKES[mistake]
    assert old in GOOD
    problems = found(tmp_path, table, GOOD.replace(old, new))
    assert code in {problem.code for problem in problems}, problems
    assert all(problem.where.startswith("script.py:") for problem in problems)


def test_imports_of_other_packages_are_nobodys_business(tmp_path, table):
    assert found(tmp_path, table, "import numpy.linalg\nimport requests\n") == []
