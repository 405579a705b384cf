# SPDX-License-Identifier: Apache-2.0
"""SmolVLA served from a second virtual environment, killed while the VLA node runs an episode.

SALUS_VLA_PYTHON names that environment's interpreter (docs/backends.md says how to make one),
SALUS_TINY_SMOLVLA a checkpoint that tiny_smolvla.py wrote; without it one is made.
"""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from policy_server import ServerProcess
from sensor_msgs.msg import Image

from salus_ros import qos
from salus_ros.images import to_message

PYTHON = os.environ.get("SALUS_VLA_PYTHON", "")
pytestmark = [
    pytest.mark.ros,
    pytest.mark.skipif(not PYTHON, reason="needs SALUS_VLA_PYTHON: an interpreter with lerobot"),
]
POLICIES = Path(__file__).resolve().parents[2] / "salus_policies"
LOADS = 300.0
"""How long importing lerobot and loading the policy may take [s]."""


@pytest.fixture
def process(tmp_path):
    folder = Path(os.environ.get("SALUS_TINY_SMOLVLA", tmp_path / "tiny"))
    if not folder.exists():
        package = [str(POLICIES), str(POLICIES.parent / "salus_core")]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(package), "HF_HUB_OFFLINE": "1"}
        command = [PYTHON, str(POLICIES / "test/tiny_smolvla.py"), str(folder)]
        subprocess.run(command, env=env, check=True, timeout=LOADS)
    process = ServerProcess(folder, "smolvla", PYTHON).start()
    yield process
    process.stop()


def test_a_killed_smolvla_means_a_hold_with_a_clear_status_until_it_is_back(
    make_node, process, spin_until, tmp_path
):
    (tmp_path / "remote.yaml").write_text("act: 5\n")
    node, robot = make_node(
        backend="remote",
        checkpoint=process.address,
        policy_config=str(tmp_path / "remote.yaml"),
        **{"diagnostics.period": 0.1},
    )
    health = []
    robot.create_subscription(
        DiagnosticArray, "/diagnostics", lambda m: health.extend(m.status), 10
    )
    wrist = robot.create_publisher(Image, "camera/wrist/image_raw", qos.image())

    def observe(step):
        image = np.full((256, 256, 3), 10 * step, np.uint8)
        wrist.publish(to_message(image, robot.stamp(step), "wrist"))
        robot.observe(step, image=image)

    spin_until(lambda: robot.is_connected() and wrist.get_subscription_count(), 60)
    robot.episode()
    for step in range(3):
        observe(step)
        spin_until(lambda step=step: len(robot.signals) == step + 1, 30)
    spin_until(lambda: robot.infos, 30)
    (info,) = robot.infos
    assert (info.backend, info.members) == ("smolvla", 5)

    process.stop()
    observe(3)
    spin_until(lambda: any(s.level == DiagnosticStatus.ERROR for s in health), 30)
    (lost,) = {s.message for s in health if s.level == DiagnosticStatus.ERROR}
    print(lost)
    assert "no action: policy server 127.0.0.1" in lost
    assert [m.step for m in robot.signals] == [0, 1, 2]  # nothing is proposed: the robot holds
    assert node.is_active

    process.start()
    attempts = iter(range(4, 30))
    while len(robot.signals) == 3:  # the node tries again with each observation
        before = len(health)
        step = next(attempts)
        observe(step)
        spin_until(lambda before=before: len(robot.signals) > 3 or len(health) > before + 20, 60)
    assert robot.signals[-1].step == step
    health.clear()
    spin_until(lambda: len(health) > 2, 30)
    assert {s.level for s in health[1:]} <= {DiagnosticStatus.OK, DiagnosticStatus.WARN}
    print("acted again at step", step, "-", health[-1].message)
