# SPDX-License-Identifier: Apache-2.0
"""The VLA node with its policy behind a socket, killed in the middle of an episode."""

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from numpy_backend import make_checkpoint
from policy_server import ServerProcess, free_port

pytestmark = pytest.mark.ros


@pytest.fixture
def process(tmp_path):
    process = ServerProcess(make_checkpoint(tmp_path / "policy")).start()
    yield process
    process.stop()


def test_a_lost_server_means_no_action_and_a_clear_status_until_it_is_back(
    make_node, process, spin_until, tmp_path
):
    (tmp_path / "remote.yaml").write_text("act: 0.3\n")
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
    spin_until(robot.is_connected)
    robot.episode()
    robot.observe(0)
    spin_until(lambda: len(robot.signals) == 1)

    process.stop()
    robot.observe(1)
    spin_until(lambda: any(s.level == DiagnosticStatus.ERROR for s in health))
    (lost,) = {s.message for s in health if s.level == DiagnosticStatus.ERROR}
    assert "no action: policy server 127.0.0.1" in lost
    assert [m.step for m in robot.signals] == [0]  # nothing is proposed, so nothing is executed
    assert node.is_active

    process.start()
    robot.observe(2)
    spin_until(lambda: len(robot.signals) == 2)
    assert robot.signals[-1].step == 2
    health.clear()
    spin_until(lambda: len(health) > 2)
    assert {s.level for s in health[1:]} <= {DiagnosticStatus.OK, DiagnosticStatus.WARN}


def test_without_a_server_the_node_does_not_configure_itself(make_node, tmp_path, capfd):
    (tmp_path / "remote.yaml").write_text("connect: 0.3\n")
    node, _ = make_node(
        start=False,
        backend="remote",
        checkpoint=f"127.0.0.1:{free_port()}",
        policy_config=str(tmp_path / "remote.yaml"),
    )
    assert not node.start()
    assert "remote.server --policy NAME" in "".join(capfd.readouterr())
