# SPDX-License-Identifier: Apache-2.0
import os
import signal
import subprocess
from array import array

import numpy as np
import pytest
from oversized import any_action
from salus_msgs.msg import EpisodeStatus, Fault, RecorderStatus
from std_srvs.srv import Trigger

from salus_core.episode_store import open_run
from salus_core.failures import FailureType, Outcome

pytestmark = pytest.mark.ros


def only_run(root):
    (path,) = (data.parent for data in root.glob("*/data.zarr"))
    return open_run(path)


def test_an_episode_is_recorded_bit_for_bit(graph, start, tmp_path):
    recorder = start(env="env0")
    assert graph.wait_until_ready().episodes == 0
    graph.run_episode(1, 8)
    status = graph.run_episode(
        2,
        6,
        state=EpisodeStatus.STATE_FAILED,
        failure=EpisodeStatus.FAILURE_DROP,
        onset_step=4,
        faults=[Fault(kind="arm_force", magnitude=2.5, unit="N", onset_step=3, duration_steps=1)],
    )
    assert (status.episodes, status.last_steps, status.last_gaps) == (2, 6, 0)
    assert status.bytes > 0
    assert recorder.stop()[0] == 0
    run = only_run(tmp_path / "runs")
    assert str(run.path) == status.run
    assert run.path.name.endswith("-env0")
    assert run.metadata["state"] == "closed"
    assert [episode.number for episode in run] == [1, 2]
    assert [episode.length for episode in run] == [8, 6]
    failed = run[1]
    assert (failed.outcome, failed.failure, failed.onset_step) == (
        Outcome.FAILED,
        FailureType.DROP,
        4,
    )
    assert failed.faults[0].kind == "arm_force"
    assert (failed.seed, failed.instruction) == (1002, "take the red cube")
    for episode in run:
        values = episode.read()
        assert values["complete"].all()
        for step in range(episode.length):
            want = graph.messages(episode.number, step)
            signals = want["vla_signals"]
            np.testing.assert_array_equal(values["action"][step], signals.action)
            np.testing.assert_array_equal(values["command"][step], want["command"].action)
            np.testing.assert_array_equal(values["embedding"][step], signals.embedding)
            np.testing.assert_array_equal(values["chunk"][step].ravel(), signals.chunk)
            assert values["signals_valid"][step].tolist() == [i == 1 for i in range(12)]
            assert values["signals"][step, 1] == 1.0 + step
            assert np.isnan(values["signals"][step, 0])
            joints = [*want["joint_states"].position, *want["joint_states"].velocity]
            np.testing.assert_array_equal(values["state"][step, :18], joints)
            assert values["state"][step, 20] == want["tool_pose"].pose.position.z
            assert values["object_pose"][step, 0, 0] == step
            assert np.isnan(values["object_pose"][step, 1]).all()
            assert values["grasped_object"][step] == (0 if step % 2 else -1)
            assert values["alarm"][step] == (step > 3)
            assert values["forecast_status"][step] == 0
            assert values["intervention"][step] == 0
            for camera in run.cameras:
                np.testing.assert_array_equal(
                    episode.images(camera, step), graph.pixels(episode.number, step, camera)
                )


def test_order_duplicates_and_gaps(graph, start, tmp_path):
    recorder = start()
    graph.wait_until_ready()
    graph.begin(1)
    topics = list(graph.messages(1, 0))
    graph.step(1, 0, order=reversed(topics))
    graph.step(1, 1)
    graph.step(1, 1, change=spoil)  # a duplicate is ignored, whatever it says
    graph.step(1, 2, without=("image/wrist",))
    graph.step(1, 3, without=("command",))
    graph.step(1, 4, without=topics)
    graph.step(1, 5)
    graph.end(1, 6)
    status = graph.wait_for_commit(1)
    assert status.last_gaps == 3
    _, output = recorder.stop()
    assert "episode 1: 3 of 6 steps have gaps; missing: command in 1, image/wrist in 1" in output
    episode = only_run(tmp_path / "runs")[0]
    assert episode["complete"].tolist() == [True, True, False, False, False, True]
    assert episode.gaps == 3
    assert not episode.images("wrist", 2).any()
    np.testing.assert_array_equal(episode.images("front", 2), graph.pixels(1, 2, "front"))
    assert np.isnan(episode["command"][3]).all()
    assert np.isfinite(episode["command"][[0, 1, 2, 5]]).all()
    assert episode["command"][1].tolist() == graph.messages(1, 1)["command"].action.tolist()


def spoil(topic, message):
    if topic == "command":
        message.action = array("d", [0.0] * 7)


def test_bad_messages_are_named_once_and_are_gaps(graph, start, tmp_path):
    def break_things(topic, message):
        if topic == "joint_states":
            message.position[2] = float("nan")
        if topic == "image/front":
            message.width, message.step = message.width // 2, message.step // 2
            message.data = message.data[: len(message.data) // 2]

    recorder = start()
    graph.wait_until_ready()
    graph.begin(1)
    for step in range(4):
        graph.step(1, step, change=break_things if step in (1, 2) else None)
    graph.end(1, 4)
    assert graph.wait_for_commit(1).last_gaps == 2
    _, output = recorder.stop()
    assert output.count("image/front: expected 32x24 pixels (width x height), got 16x24") == 1
    assert output.count("joint_states: position of panda_joint3 is nan") == 1
    episode = only_run(tmp_path / "runs")[0]
    assert np.isnan(episode["state"][1, :18]).all()
    assert np.isfinite(episode["state"][1, 18:]).all()


@pytest.mark.parametrize("count", [0, 6, 14, 65])
def test_actions_of_another_length_are_gaps_with_both_lengths_told(graph, start, tmp_path, count):
    recorder = start()
    graph.wait_until_ready()
    graph.begin(1)
    wrong = [0.25] * count
    for step in range(4):
        messages = graph.messages(1, step)
        for topic, message in messages.items():
            spoiled = (topic, step) in (("command", 1), ("vla_signals", 2))
            graph.publish(topic, any_action(message, wrong) if spoiled else message)
        graph.spin(0.005)
    graph.end(1, 4)
    assert graph.wait_for_commit(1).last_gaps == 2
    _, output = recorder.stop()
    for where in ("command", "vla_signals"):
        told = f"{where}: action has {count} numbers, but the run's actions have 7: x, y, z"
        assert output.count(told) == 1
    episode = only_run(tmp_path / "runs")[0]
    assert np.isnan(episode["command"][1]).all()
    assert np.isnan(episode["action"][2]).all()
    assert np.isfinite(episode["command"][[0, 2, 3]]).all()


def test_an_episode_with_a_gap_does_not_cost_the_next_ones_seed_and_instruction(
    graph, start, tmp_path
):
    """Without a world that tells setups, the status of an episode is all that is known of it."""
    recorder = start(required=["joint_states", "tool_pose", "vla_signals", "command"])
    graph.wait_until_ready()
    for episode in (1, 2, 3):
        status = EpisodeStatus(episode=episode, seed=50 + episode, instruction=f"task {episode}")
        graph.publish("episode", status)
        for step in range(4):
            graph.step(episode, step, without=("command",) if (episode, step) == (1, 2) else ())
        graph.publish(
            "episode",
            EpisodeStatus(
                episode=episode,
                step=4,
                state=EpisodeStatus.STATE_SUCCEEDED,
                seed=50 + episode,
                instruction=f"task {episode}",
            ),
        )
    graph.wait_for_commit(3)
    recorder.stop()
    run = only_run(tmp_path / "runs")
    assert [episode.gaps for episode in run] == [1, 0, 0]
    assert [episode.seed for episode in run] == [51, 52, 53]
    assert [episode.instruction for episode in run] == ["task 1", "task 2", "task 3"]


def test_pause_and_resume(graph, start, tmp_path):
    recorder = start()
    graph.wait_until_ready()
    graph.run_episode(1, 3)
    assert graph.call("is_paused") == Trigger.Response(success=True, message="not paused")
    graph.begin(2)
    graph.step(2, 0)
    graph.wait_for(lambda status: status.state == RecorderStatus.STATE_RECORDING)
    assert graph.call("pause").success
    assert graph.call("is_paused").message == "paused"
    graph.wait_for(lambda status: status.state == RecorderStatus.STATE_PAUSED)
    graph.step(2, 1)
    assert graph.call("resume").success
    graph.step(2, 2)
    graph.end(2, 3)
    graph.run_episode(3, 4)
    _, output = recorder.stop()
    assert "episode 2 is discarded: recording was paused" in output
    run = only_run(tmp_path / "runs")
    assert [episode.number for episode in run] == [1, 3]


def test_kill_in_an_episode_and_next_start(graph, start, tmp_path):
    recorder = start()
    graph.wait_until_ready()
    graph.run_episode(1, 5)
    graph.begin(2)
    for step in range(7):
        graph.step(2, step)
    graph.wait_for(lambda status: status.state == RecorderStatus.STATE_RECORDING)
    graph.spin(0.5)
    recorder.stop(signal.SIGKILL)
    run = only_run(tmp_path / "runs")
    assert [episode.length for episode in run] == [5]
    graph.statuses.clear()
    second = start()
    graph.wait_until_ready()
    code, output = second.stop()
    assert code == 0
    assert f"{run.path}: the recorder died in episode 2; dropped its 7 steps, kept 1 comm" in output
    assert "episode 2 is not recorded" not in output
    run = only_run(tmp_path / "runs")
    assert run.metadata["state"] == "recovered"
    np.testing.assert_array_equal(run[0]["command"][4], graph.messages(1, 4)["command"].action)


def test_full_disk_ends_the_process_with_an_error(graph, start, tmp_path):
    disk = tmp_path / "small"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small disk needs root and the right to mount")
    try:
        recorder = start(disk)
        graph.wait_until_ready()
        number = 0
        while recorder.process.poll() is None and number < 50:
            number += 1
            graph.begin(number)
            for step in range(30):
                graph.step(number, step)
            graph.end(number, 30)
            graph.wait_for(
                lambda s, n=number: s.last_episode == n or s.state == RecorderStatus.STATE_ERROR
            )
            if graph.statuses[-1].state == RecorderStatus.STATE_ERROR:
                break
        code, output = recorder.wait()
        assert code == 1
        assert "No space left on device; free some space on that disk" in output
        assert str(disk) in graph.statuses[-1].error
        assert len(only_run(disk)) >= 1
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_another_policy_begins_another_run(graph, start, tmp_path):
    recorder = start()
    graph.wait_until_ready()
    first = graph.run_episode(1, 3).run
    graph.publish_info(embedding_size=6, policy="another")
    graph.spin(0.3)
    second = graph.run_episode(2, 3).run
    recorder.stop()
    assert first != second
    assert [open_run(path).attributes["policy"] for path in (first, second)] == ["test", "another"]
    assert open_run(second)[0]["embedding"].shape == (3, 6)


def test_an_episode_of_two_policies_is_discarded(graph, start, tmp_path):
    recorder = start()
    graph.wait_until_ready()
    graph.begin(1)
    graph.step(1, 0)
    graph.wait_for(lambda status: status.state == RecorderStatus.STATE_RECORDING)
    graph.publish_info()  # as a node that was activated again
    graph.step(1, 1)
    graph.publish_info(policy_hash="11")
    graph.wait_for(lambda status: status.state == RecorderStatus.STATE_READY)
    graph.step(1, 2)
    graph.end(1, 3)
    status = graph.run_episode(2, 3)
    _, output = recorder.stop()
    assert "episode 1 is discarded: another policy took over (policy_hash 11, before: 00)" in output
    run = open_run(status.run)
    assert [episode.number for episode in run] == [2]
    assert run.attributes["policy_hash"] == "11"


def test_aborted_and_unfinished_episodes(graph, start, tmp_path):
    recorder = start()
    graph.wait_until_ready()
    graph.run_episode(1, 4, state=EpisodeStatus.STATE_ABORTED)
    graph.begin(2)
    for step in range(5):
        graph.step(2, step)
    graph.run_episode(3, 3)  # nobody said how episode 2 ended
    recorder.stop()
    run = only_run(tmp_path / "runs")
    assert [(episode.number, episode.length, episode.outcome) for episode in run] == [
        (1, 4, Outcome.ABORTED),
        (2, 5, Outcome.ABORTED),
        (3, 3, Outcome.SUCCEEDED),
    ]
    assert all(episode.gaps == 0 for episode in run)


def test_unwritable_output_is_refused_at_the_start(start, tmp_path):
    (tmp_path / "file").write_text("")
    code, output = start(tmp_path / "file" / "runs").wait()
    assert code == 1
    assert "parameter 'output': cannot write" in output
    assert "choose another output folder" in output


def test_unknown_parameter_is_refused_at_the_start(start):
    code, output = start(camera=["front"]).wait()
    assert code == 1
    assert "unknown parameter 'camera'" in output
