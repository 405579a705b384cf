# SPDX-License-Identifier: Apache-2.0
"""Topics that come late, apart or offset are recorded; messages that mislead cost nothing."""

from array import array
from copy import deepcopy

import numpy as np
import pytest
from salus_msgs.msg import EpisodeStatus, Intervention
from sensor_msgs.msg import JointState

from salus_core.episode_store import open_run
from salus_core.failures import Outcome

pytestmark = pytest.mark.ros


@pytest.fixture
def only_run(tmp_path):
    def read():
        (path,) = (data.parent for data in (tmp_path / "runs").glob("*/data.zarr"))
        return open_run(path)

    return read


LARGEST = 2**32 - 1


def record(graph, publish, episode=1, length=5):
    """An episode of which `publish` sends each message."""
    graph.begin(episode)
    for step in range(length):
        for topic, message in graph.messages(episode, step).items():
            publish(topic, message)
        graph.spin(0.01)
    graph.end(episode, length)
    return graph.wait_for_commit(episode)


def state_of(graph, episode, step):
    return np.array([*graph.messages(episode, step)["joint_states"].position])


def test_arm_and_gripper_may_come_apart_without_velocities_and_with_joints_of_others(
    graph, start, only_run
):
    def publish(topic, message):
        if topic != "joint_states":
            graph.publish(topic, message)
            return
        for part in (slice(0, 7), slice(7, None)):
            names = [*message.name[part], "conveyor"]
            position = [*message.position[part], float("nan")]
            velocity = [float("nan")] * len(names) if part.start == 0 else []
            apart = JointState(name=names, position=position, velocity=velocity)
            apart.header = message.header
            graph.publish(topic, apart)

    recorder = start()
    graph.wait_until_ready()
    assert record(graph, publish).last_gaps == 0
    recorder.stop()
    episode = only_run()[0]
    for step in range(5):
        np.testing.assert_array_equal(episode["state"][step, :9], state_of(graph, 1, step))
    assert np.isnan(episode["state"][:, 9:18]).all()


@pytest.mark.parametrize(("tolerance", "gaps"), [(0.0, 5), (0.005, 0)])
def test_stamps_that_differ_are_matched_within_the_tolerance_and_else_told(
    graph, start, only_run, tolerance, gaps
):
    def publish(topic, message):
        if topic in ("joint_states", "tool_pose"):
            message = deepcopy(message)
            message.header.stamp.nanosec += 2_000_000
        graph.publish(topic, message)

    recorder = start(stamp_tolerance=tolerance, input_wait=0.2, end_grace=1.0)
    graph.wait_until_ready()
    assert record(graph, publish).last_gaps == gaps
    _, output = recorder.stop()
    said = "joint_states: its nearest stamp is 2 ms after the observation's"
    assert output.count(said) == (1 if gaps else 0)


def test_pictures_that_come_two_steps_late_are_waited_for(graph, start, only_run):
    late = []

    def publish(topic, message):
        if not topic.startswith("image/"):
            graph.publish(topic, message)
            return
        late.append((topic, message))
        if len(late) > 6:
            graph.publish(*late.pop(0))

    recorder = start()
    graph.wait_until_ready()
    graph.begin(1)
    for step in range(5):
        for topic, message in graph.messages(1, step).items():
            publish(topic, message)
        graph.spin(0.01)
    graph.end(1, 5)
    for topic, message in late:
        graph.publish(topic, message)
    assert graph.wait_for_commit(1).last_gaps == 0
    recorder.stop()
    front = only_run()[0].images("front")
    for step in range(5):
        np.testing.assert_array_equal(front[step], graph.pixels(1, step, "front"))


def wrong_messages(graph):
    """Messages whose numbers would loop, allocate or lock out, in the midst of episode 1."""
    for topic in ("step", "world_state", "vla_signals", "command", "intervention"):
        for field in ("episode", "step"):
            message = graph.messages(1, 1)[topic]
            message.header = graph.messages(1, 900)[topic].header
            setattr(message, field, LARGEST)
            yield topic, message
    for step in (LARGEST, 2**31, 100_000):
        yield "episode", EpisodeStatus(episode=1, step=step, state=EpisodeStatus.STATE_SUCCEEDED)
        yield "episode", EpisodeStatus(episode=LARGEST, step=step)
    picture = graph.messages(1, 1)["image/front"]
    for field in ("width", "height", "step"):
        broken = deepcopy(picture)
        setattr(broken, field, LARGEST)
        yield "image/front", broken
    joints = graph.messages(1, 1)["joint_states"]
    yield "joint_states", JointState(header=joints.header, name=["a"] * 50_000)
    signals = graph.messages(1, 1)["vla_signals"]
    signals.embedding = array("f", [0.0] * 16384)
    yield "vla_signals", signals


def test_no_message_loops_allocates_or_locks_out(graph, start, only_run):
    recorder = start()
    graph.wait_until_ready()
    graph.begin(1)
    graph.step(1, 0)
    for topic, message in wrong_messages(graph):
        graph.publish(topic, message)
        graph.spin(0.005)
    for step in range(1, 4):
        graph.step(1, step)
    graph.end(1, 4)
    assert graph.wait_for_commit(1).last_steps == 4
    assert graph.run_episode(2, 3).last_gaps == 0
    assert graph.run_episode(3, 3).last_gaps == 0
    code, output = recorder.stop()
    assert code == 0
    assert "Traceback" not in output
    assert f"names step {LARGEST}, but step 0 is the last one that came" in output
    run = only_run()
    assert [(one.number, len(one)) for one in run] == [(1, 4), (2, 3), (3, 3)]


@pytest.mark.parametrize("field", ["embedding_size", "chunk_shape", "control_period"])
def test_a_policy_that_announces_too_much_is_refused_by_name(graph, start, only_run, field):
    recorder = start()
    graph.wait_until_ready()
    good = graph.publishers["signal_info"]
    graph.embedding_size = 4
    info = []
    graph.publishers["signal_info"] = type(
        "Kept", (), {"publish": lambda self, m: info.append(m)}
    )()
    graph.publish_info()
    value = {"chunk_shape": [LARGEST] * 3, "control_period": float("nan")}.get(field, LARGEST)
    wrong = deepcopy(info[0])
    setattr(wrong, field, value)
    good.publish(wrong)
    graph.begin(1)
    for step in range(3):
        graph.step(1, step)
    graph.end(1, 3)
    graph.spin(0.5)
    good.publish(info[0])
    assert graph.run_episode(2, 3).last_gaps == 0
    code, output = recorder.stop()
    assert code == 0
    assert field in output or field == "control_period"
    assert "Traceback" not in output


def test_a_failure_of_a_type_of_ones_own_is_recorded_by_name(graph, start, tmp_path, only_run):
    types = tmp_path / "types.yaml"
    types.write_text("failure_types: {spill: liquid leaves the cup}")
    recorder = start(failure_types=str(types))
    graph.wait_until_ready()
    fields = {"failure": EpisodeStatus.FAILURE_OTHER, "failure_name": "spill", "onset_step": 2}
    graph.run_episode(1, 4, state=EpisodeStatus.STATE_FAILED, **fields)
    recorder.stop()
    run = only_run()
    assert run.taxonomy.names[-1] == "spill"
    assert (run[0].outcome, run[0].failure_name, run[0].onset_step) == (Outcome.FAILED, "spill", 2)


def test_a_hold_between_two_steps_is_in_the_log_and_counts_as_a_missed_command(
    graph, start, only_run
):
    recorder = start()
    graph.wait_until_ready()
    graph.begin(1)
    for step in range(3):
        graph.step(1, step)
        if step == 1:
            reason = "watchdog: no fresh proposal for 0.085 s"
            hold = Intervention(episode=1, step=1, kind=Intervention.KIND_HOLD, reason=reason)
            graph.publish("intervention", hold)
    graph.end(1, 3)
    assert graph.wait_for_commit(1).last_gaps == 0
    recorder.stop()
    run = only_run()
    # Nobody decided against an action: labels of the episode hold.
    assert (run[0].intervened, run[0].commands_missed) == (False, 1)
    assert f"episode 1: after step 1: {reason}" in (run.path / "recorder.log").read_text()
