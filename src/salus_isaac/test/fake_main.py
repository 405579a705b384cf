# SPDX-License-Identifier: Apache-2.0
"""Takes the place of Isaac Sim's Python: `isaac_world` with the simulator of the tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from fake_isaac import FakeIsaac

from salus_isaac.world_node import IsaacWorldNode
from salus_ros.managed_node import run
from salus_sim.scene import load_scene


def isaac_world():
    return IsaacWorldNode(FakeIsaac(load_scene(), draw=True))


if __name__ == "__main__":
    sys.exit(run(isaac_world, sys.argv[sys.argv.index("--ros-args") :]))
