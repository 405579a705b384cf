# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys
from importlib.resources import files

import pytest
import yaml

from salus_isaac.check_main import main


def test_the_command_finds_nothing_and_says_what_it_looked_at(capsys):
    assert main([]) == 0
    assert "0 problems in 15 nodes" in capsys.readouterr().out


def test_a_written_graph_is_read_back(tmp_path, capsys):
    file = tmp_path / "graph.yaml"
    assert main(["--write", str(file)]) == 0
    assert main(["--graph", str(file)]) == 0
    data = yaml.safe_load(file.read_text())
    data["nodes"][0][1] = "omni.graph.action.OnPlayback"
    file.write_text(yaml.safe_dump(data))
    assert main(["--graph", str(file)]) == 1
    assert "unknown-node-type" in capsys.readouterr().out


def test_another_namespace_is_checked_against_itself(tmp_path):
    file = tmp_path / "graph.yaml"
    assert main(["--namespace", "/robot2", "--write", str(file)]) == 0
    assert main(["--graph", str(file), "--namespace", "/robot2"]) == 0
    assert main(["--graph", str(file)]) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "is not a graph"),
        ("nodes: []", "'path'"),
        ("{path: /G, node: []}", "unknown field 'node'"),
        ("{path: /G, nodes: [[a]]}", "is not a graph"),
    ],
)
def test_a_file_that_is_no_graph_is_named(tmp_path, capsys, text, message):
    file = tmp_path / "graph.yaml"
    file.write_text(text)
    assert main(["--graph", str(file)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "graph.yaml" in error


def test_a_wrong_joint_order_of_the_interface_is_found(tmp_path, capsys):
    data = yaml.safe_load((files("salus_isaac") / "interface.yaml").read_text())
    data["joints"].reverse()
    file = tmp_path / "interface.yaml"
    file.write_text(yaml.safe_dump(data))
    assert main(["--interface", str(file)]) == 1
    assert "joint-order" in capsys.readouterr().out


def test_it_needs_neither_isaac_sim_nor_ros(tmp_path):
    code = (
        "import sys\n"
        "for name in ('rclpy', 'isaacsim', 'omni', 'pxr', 'salus_msgs'): sys.modules[name] = None\n"
        "from salus_isaac.check_main import main\n"
        "sys.exit(main([]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
