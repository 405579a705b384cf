# SPDX-License-Identifier: Apache-2.0
"""A node that cannot start says why, and ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_backend
from lifecycle_msgs.msg import State
from robot import errors_of

pytestmark = pytest.mark.ros


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"checkpoint": "/nowhere/policy"}, ["/nowhere/policy/member_0.safetensors"]),
        ({"backend": "openvla9"}, ["unknown backend 'openvla9'", "embedded"]),
        ({"camera_topics": ["top=/camera"]}, ["no camera 'top'", "front"]),
        ({"joint_lower": [0.0]}, ["joint_lower", "7 joint_names"]),
        ({"window": 1}, ["window", "2"]),
        ({"no_such_parameter": 1}, ["no_such_parameter"]),
        ({"step_source": "images"}, ["instruction"]),
    ],
)
def test_a_node_that_cannot_start_says_why(parameters, words, make_node, monkeypatch):
    node, _ = make_node(start=False, **parameters)
    errors = errors_of(node, monkeypatch)
    assert not node.start()
    assert node.exit_code == 1
    assert len(errors) == 1
    assert all(word in errors[0] for word in words)


def test_without_autostart_a_bad_checkpoint_leaves_the_node_unconfigured(make_node):
    node, _ = make_node(start=False, autostart=False, checkpoint="/nowhere")
    assert node.start()
    node.trigger_configure()
    assert node._state_machine.current_state[0] == State.PRIMARY_STATE_UNCONFIGURED


def test_the_process_exits_with_1_when_the_checkpoint_is_missing():
    code = "import sys; from salus_vla_node.vla_node import main; sys.exit(main())"
    given = ["-p", "backend:='tiny_backend:TinyBackend'", "-p", "checkpoint:=/nowhere/policy"]
    path = os.pathsep.join(
        [str(Path(tiny_backend.__file__).parent), os.environ.get("PYTHONPATH", "")]
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--ros-args", *given],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 1
    assert "/nowhere/policy" in done.stderr
