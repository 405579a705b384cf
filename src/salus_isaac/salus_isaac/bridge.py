# SPDX-License-Identifier: Apache-2.0
"""Starts Isaac Sim and the world's node in it: what `isaac_world` runs under Isaac Sim's Python.

The order of imports is Isaac Sim's: SimulationApp first, then its modules, then the bridge's
extension, and only then rclpy.
"""

from __future__ import annotations

import os
import sys

_EXPERIENCE = "isaacsim.exp.base.zero_delay.kit"  # images in step with the state


def run_bridge(headless: bool, gpu: int, ros_arguments: list[str]) -> int:
    """Run the world until it is stopped.

    Args:
        headless: without a window.
        gpu: number of the GPU that renders and simulates.
        ros_arguments: for rclpy, '--ros-args' and what follows.

    Returns:
        The exit code; Isaac Sim usually ends the process before.
    """
    sys.argv = sys.argv[:1]  # Isaac Sim reads it too and does not know ROS's arguments
    from isaacsim import SimulationApp

    app = SimulationApp(
        {
            "headless": headless,
            "active_gpu": gpu,
            "physics_gpu": gpu,
            "multi_gpu": False,
        },
        experience=os.path.join(os.environ["EXP_PATH"], _EXPERIENCE),
    )
    import isaacsim.core.experimental.utils.app as app_utils

    app_utils.enable_extension("isaacsim.ros2.bridge")
    app.update()

    from salus_isaac.isaac_simulator import IsaacSimulator
    from salus_isaac.world_node import IsaacWorldNode
    from salus_ros.managed_node import run

    def isaac_world() -> IsaacWorldNode:
        return IsaacWorldNode(IsaacSimulator(app, headless))

    code = run(isaac_world, ros_arguments)
    app.close(exit_code=code)
    return code
