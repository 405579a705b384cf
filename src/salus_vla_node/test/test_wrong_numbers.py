# SPDX-License-Identifier: Apache-2.0
"""Wrong numbers of a robot, a policy or a world: said, never sent, and service goes on."""

import re

import numpy as np
import pytest
from robot import ARM, FINGERS, REST, count_taken, errors_of
from salus_msgs.msg import Step

pytestmark = pytest.mark.ros

BAD_INPUTS = {
    "wrong camera size": (
        {"image": np.zeros((48, 64, 3), np.uint8)},
        ["camera/front/image_raw", "32x32", "64x48"],
    ),
    "NaN in a joint": (
        {"positions": [0.0, float("nan"), *REST[2:], 0.04, 0.04]},
        ["joint_states", "panda_joint2", "nan"],
    ),
    "missing joint": (
        {"names": ARM[:6] + FINGERS, "positions": [*REST[:6], 0.04, 0.04]},
        ["joint_states", "panda_joint7"],
    ),
    "infinite tool pose": ({"tool": (float("inf"), 0.0, 0.0)}, ["tool_pose", "position.x", "inf"]),
}


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_input_is_named_and_gives_no_action(case, running, spin_until, monkeypatch):
    node, robot = running
    changes, words = BAD_INPUTS[case]
    errors = errors_of(node, monkeypatch)
    robot.observe(0, **changes)
    spin_until(lambda: errors)
    robot.observe(1)
    spin_until(lambda: robot.signals)
    assert [m.step for m in robot.signals] == [1]
    assert len(errors) == 1
    assert all(word in errors[0] for word in [*words, "step 0"])


def test_wrong_encoding_names_the_topic(running, spin_until, monkeypatch):
    from sensor_msgs.msg import Image

    node, robot = running
    errors = errors_of(node, monkeypatch)
    depth = Image(height=32, width=32, step=64, encoding="16UC1", data=bytes(2 * 32 * 32))
    robot.observe(0, image=depth)
    spin_until(lambda: errors)
    assert all(word in errors[0] for word in ["camera/front/image_raw", "rgb8", "16UC1"])


WRONG_OUTPUTS = {
    "nan action": "action with NaN or infinity",
    "long action": r"action of shape \(8,\), expected \(7,\)",
    "no latent": "gave no latent",
    "short latent": r"latent of shape \(5,\), expected \(6,\)",
    "infinite chunks": "chunks with NaN or infinity",
    "large latent": "latent beyond the range of float32",
    "large chunks": "chunks beyond the range of float32",
    "large members": "member_means beyond the range of float32",
}


@pytest.mark.parametrize("wrong", WRONG_OUTPUTS)
def test_wrong_numbers_of_a_policy_are_said_and_never_sent(wrong, make_node, spin_until):
    node, robot = make_node(backend="robot_policies:WrongBackend", policy_config=wrong)
    spin_until(robot.is_connected)
    robot.episode()
    for step in range(2):
        robot.observe(step)
        spin_until(lambda: len(robot.signals) + node.diagnostics.drops > step)  # noqa: B023
    assert [m.step for m in robot.signals] == [0]
    said = f"no action: .*{WRONG_OUTPUTS[wrong]}"
    spin_until(lambda: re.search(said, node.diagnostics.status().message))


@pytest.mark.parametrize(
    ("size", "said"),
    [
        ("embedding_size=16385", "16385 > 16384"),
        ("chunk_length=4000", "3 x 4000 x 7 > 65536"),
        ("embedding_size=-1", "embedding_size is -1"),
        ("chunk_length=-1", "chunk_length is -1"),
    ],
)
def test_sizes_beyond_the_messages_bounds_are_refused_at_configure(size, said, make_node, capfd):
    node, _ = make_node(start=False, backend="robot_policies:OversizedBackend", policy_config=size)
    assert not node.start()
    assert said in capfd.readouterr().err


LARGE = 2**32 - 1


@pytest.mark.parametrize("stray", [(LARGE, LARGE), (2, 0), (1, LARGE)])
@pytest.mark.parametrize("how", ["alone", "with a status", "with all topics"])
@pytest.mark.parametrize("restart", [False, True])
def test_a_stray_number_costs_no_service(stray, how, restart, make_node, spin_until):
    node, robot = make_node()
    taken = count_taken(node)
    spin_until(robot.is_connected)
    robot.episode()
    for step in range(3):
        robot.observe(step)
    spin_until(lambda: len(robot.signals) == 3)
    episode, number = stray
    if how == "with a status":
        robot.episode(episode, step=number)
    if how == "with all topics":
        robot.observe(number, episode % 1000, image=np.zeros((32, 32, 3), np.uint8))
    else:
        lonely = Step(episode=episode, step=number)
        lonely.header.stamp = robot.stamp(3)
        robot.step_publisher.publish(lonely)
    topics = ("/step", "/camera/front/image_raw", "/joint_states", "/tool_pose")
    spin_until(lambda: taken["/step"] == 4)
    if how == "with all topics":
        spin_until(lambda: all(taken[topic] == 4 for topic in topics))
    robot.signals.clear()
    begin = 0 if restart else 4
    if restart or how == "with a status":
        robot.episode()
    for step in range(begin, begin + 3):
        robot.observe(step)
    # Where stamps of all topics ran ahead, one more observation may be lost.
    wanted = [(1, begin + n) for n in range(how == "with all topics", 3)]
    spin_until(
        lambda: [(m.episode, m.step) for m in robot.signals][-len(wanted) :] == wanted,
        seconds=2.0 if how == "with a status" else 1.0,
    )
