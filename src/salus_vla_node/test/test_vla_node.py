# SPDX-License-Identifier: Apache-2.0
"""The node on real topics, with a real (tiny) policy."""

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from robot import ARM, FINGERS, REST, count_taken, errors_of
from salus_msgs.msg import EpisodeStatus, VlaSignals
from salus_msgs.srv import LoadCheckpoint
from tiny_backend import CHUNK, LATENT, MEMBERS, make_checkpoint

from salus_core.signals import SIGNAL_NAMES, Signal, SignalComputer, StepInput, unpack_validity

pytestmark = pytest.mark.ros


def valid(message):
    return {SIGNAL_NAMES[i] for i in np.flatnonzero(unpack_validity(message.valid))}


def test_every_step_of_a_running_episode_gets_signals_once(running, spin_until):
    _, robot = running
    for step in range(12):
        robot.observe(step, tool=(0.5 + 0.01 * step, 0.0, 0.3))
        if step == 3:
            robot.observe(step)  # sent twice
        spin_until(lambda: len(robot.signals) > step)  # noqa: B023
        robot.command(step, [0.012, 0, 0, 0, 0, 0, 1])
    robot.observe(12)
    spin_until(lambda: robot.signals[-1].step == 12)

    assert [m.step for m in robot.signals] == list(range(13))
    assert all(m.episode == 1 for m in robot.signals)
    assert [m.header.stamp for m in robot.signals] == [robot.stamp(i) for i in range(13)]
    assert all(m.header.frame_id == "panda_link0" for m in robot.signals)
    assert valid(robot.signals[0]) == {
        "action_magnitude",
        "predictive_entropy",
        "epistemic_uncertainty",
        "constraint_margin",
    }
    everything_but_ood = set(SIGNAL_NAMES) - {"ood_distance"}
    assert valid(robot.signals[11]) == everything_but_ood
    last = robot.signals[11]
    assert last.execution_mismatch == pytest.approx(0.002, abs=1e-6)
    # Joint 6 of the rest pose: 3.7525 - 1.9; joint 4: -0.0698 + 2.2 ... the nearest is joint 4.
    assert last.constraint_margin == pytest.approx(-2.2 + 3.0718, abs=1e-4)
    assert len(last.embedding) == LATENT
    assert len(last.chunk) == MEMBERS * CHUNK * 7
    chunk = np.array(last.chunk).reshape(MEMBERS, CHUNK, 7)
    assert chunk[:, 0].mean(axis=0) == pytest.approx(np.array(last.action), abs=1e-6)
    assert chunk[:, 0].std(axis=0, ddof=1) == pytest.approx(np.array(last.action_std), rel=1e-3)
    assert 0.0 < last.latency < 1.0


def test_the_signals_of_the_core_are_the_fields_and_bits_of_the_message():
    fields = VlaSignals.get_fields_and_field_types()
    for signal in Signal:
        assert getattr(VlaSignals, signal.name) == signal
        assert fields[SIGNAL_NAMES[signal]] == "float"


def test_signals_can_be_computed_again_from_what_was_published(running, spin_until):
    _, robot = running
    for step in range(12):
        robot.observe(step)
        spin_until(lambda: len(robot.signals) > step)  # noqa: B023
    spin_until(lambda: robot.infos)
    info = robot.infos[0]
    offline = SignalComputer(info.action_scale, window=info.window, member_kind=info.member_kind)
    for message in robot.signals:
        chunks = np.array(message.chunk).reshape(info.chunk_shape)
        again = offline.update(
            StepInput(
                step=message.step,
                action=message.action,
                member_means=chunks[:, 0],
                latent=np.array(message.embedding),
                chunks=chunks,
            )
        )
        for signal in np.flatnonzero(again.valid):
            assert message.valid >> signal & 1
            published = getattr(message, SIGNAL_NAMES[signal])
            assert again.values[signal] == pytest.approx(published, rel=1e-4, abs=1e-5)
    assert again.valid.sum() == 8


def test_signal_info_describes_the_policy(running, spin_until):
    node, robot = running
    spin_until(lambda: robot.infos)
    info = robot.infos[0]
    assert tuple(info.names) == SIGNAL_NAMES
    assert len(info.units) == len(info.definitions) == len(info.available) == 12
    assert not info.available[Signal.OOD_DISTANCE]
    assert list(info.chunk_shape) == [MEMBERS, CHUNK, 7]
    assert (info.members, info.member_kind, info.embedding_size) == (MEMBERS, "checkpoints", LATENT)
    assert info.policy == node.parameters.checkpoint
    assert len(info.policy_hash) == len(info.schema_hash) == 64


def test_a_new_episode_starts_with_an_empty_history(running, spin_until):
    _, robot = running
    for step in range(3):
        robot.observe(step)
        spin_until(lambda: len(robot.signals) > step)  # noqa: B023
    robot.episode(2)
    robot.observe(0, episode=2)
    spin_until(lambda: len(robot.signals) == 4)
    assert (robot.signals[3].episode, robot.signals[3].step) == (2, 0)
    assert "action_volatility" not in valid(robot.signals[3])


def test_an_observation_that_overtakes_the_episode_status_is_kept(running, spin_until):
    node, robot = running
    robot.observe(0, episode=2)
    spin_until(lambda: node._observer._steps._waiting)
    assert robot.signals == []
    robot.episode(2)
    spin_until(lambda: robot.signals)
    assert robot.signals[0].episode == 2


def test_a_world_started_anew_counts_from_the_beginning(running, spin_until):
    _, robot = running
    robot.episode(9)
    robot.observe(0, episode=9)
    spin_until(lambda: robot.signals)
    robot.observe(0, episode=1)
    robot.episode(1)
    spin_until(lambda: len(robot.signals) == 2)
    assert robot.signals[1].episode == 1


def test_nothing_is_inferred_after_the_end_of_the_episode(running, spin_until):
    _, robot = running
    taken = count_taken(running[0])
    robot.observe(0)
    spin_until(lambda: robot.signals)
    robot.episode(state=EpisodeStatus.STATE_FAILED, step=1)
    spin_until(lambda: taken["/episode"])
    robot.observe(1)  # the last step of the episode: its end became known early
    robot.observe(2)
    spin_until(lambda: taken["/step"] == 3)
    robot.episode(2)
    robot.observe(0, episode=2)
    spin_until(lambda: robot.signals[-1].episode == 2)
    assert [(m.episode, m.step) for m in robot.signals] == [(1, 0), (1, 1), (2, 0)]


def test_an_inactive_node_neither_infers_nor_publishes(make_node, spin_until):
    node, robot = make_node()
    topics = ("/step", "/camera/front/image_raw", "/joint_states", "/tool_pose")
    taken = count_taken(node)
    robot.episode()
    spin_until(robot.is_connected)
    robot.observe(0)
    spin_until(lambda: robot.signals)
    robot.observe(0, episode=2)
    spin_until(lambda: all(taken[topic] == 2 for topic in topics))
    node.trigger_deactivate()
    robot.episode(2)  # what waited for it is not acted on
    spin_until(lambda: taken["/episode"] == 2)
    robot.episode(1)
    spin_until(lambda: taken["/episode"] == 3)
    taken.clear()
    robot.observe(1)
    spin_until(lambda: all(taken[topic] for topic in topics))
    node.trigger_activate()
    robot.observe(2)
    spin_until(lambda: len(robot.signals) == 2)
    assert robot.signals[1].step == 2
    assert "action_volatility" not in valid(robot.signals[1])  # step 1 was not seen


def test_joints_are_found_by_name_whatever_their_order(running, spin_until):
    _, robot = running
    robot.observe(0)
    robot.observe(
        1,
        names=(ARM + FINGERS)[::-1],
        positions=[*REST, 0.04, 0.04][::-1],
        image=np.zeros((32, 32, 3), np.uint8),
    )
    spin_until(lambda: len(robot.signals) == 2)
    assert np.array_equal(robot.signals[0].action, robot.signals[1].action)
    assert robot.signals[0].constraint_margin == robot.signals[1].constraint_margin


def test_a_policy_that_diverges_gives_no_action(make_node, spin_until, monkeypatch):
    node, robot = make_node(backend="tiny_backend:FailingBackend")
    robot.episode()
    spin_until(robot.is_connected)
    errors = errors_of(node, monkeypatch)
    robot.observe(0)
    robot.observe(1)
    spin_until(lambda: errors)
    assert "step 1" in errors[0]
    assert "NaN" in errors[0]
    assert [m.step for m in robot.signals] == [0]
    assert node.exit_code == 0


def test_a_policy_that_throws_ends_the_process_with_its_reason(make_node, spin_until, capfd):
    node, robot = make_node(backend="tiny_backend:BrokenBackend")
    robot.episode()
    spin_until(robot.is_connected)
    robot.observe(0)
    spin_until(node.stopped.done)
    assert node.exit_code == 1
    assert "out of memory on the device" in capfd.readouterr().err


def test_a_policy_slower_than_its_camera_drops_the_oldest_and_counts(make_node, spin_until):
    node, robot = make_node(backend="tiny_backend:SlowBackend", queue_depth=1)
    robot.episode()
    spin_until(robot.is_connected)
    for step in range(5):  # as many images as the subscription keeps
        robot.observe(step)
    spin_until(lambda: robot.signals and robot.signals[-1].step == 4)
    assert len(robot.signals) + node.diagnostics.drops == 5
    assert node.diagnostics.drops >= 2


def test_an_incomplete_observation_is_counted_not_awaited(running, spin_until):
    from salus_msgs.msg import Step

    node, robot = running
    for step in range(10):
        lonely = Step(episode=1, step=step)
        lonely.header.stamp = robot.stamp(step)
        robot.step_publisher.publish(lonely)
    spin_until(lambda: node.diagnostics.drops == 10)
    robot.observe(20)
    spin_until(lambda: robot.signals)
    assert robot.signals[0].step == 20


def test_diagnostics_report_latency_and_model_hash(make_node, spin_until):
    node, robot = make_node(**{"diagnostics.period": 0.2})
    reports = []
    robot.create_subscription(DiagnosticArray, "/diagnostics", reports.append, 10)
    robot.episode()
    spin_until(robot.is_connected)
    robot.observe(0)
    spin_until(lambda: robot.signals)
    reports.clear()
    spin_until(lambda: reports)
    values = {item.key: item.value for item in reports[0].status[0].values}
    assert values["model hash"] == node._policy.info.weights_hash
    assert float(values["latency p99 [ms]"]) > 0.0


def test_a_checkpoint_is_replaced_at_run_time_and_a_bad_one_is_not(running, spin_until, tmp_path):
    node, robot = running
    old = node._policy.info.weights_hash
    client = robot.create_client(LoadCheckpoint, "vla/load_checkpoint")
    spin_until(client.service_is_ready)

    refused = client.call_async(LoadCheckpoint.Request(checkpoint=str(tmp_path / "nowhere")))
    spin_until(refused.done)
    assert not refused.result().success
    assert str(tmp_path / "nowhere") in refused.result().message
    assert refused.result().hash == old

    other = make_checkpoint(tmp_path / "other", seed=7)
    accepted = client.call_async(LoadCheckpoint.Request(checkpoint=str(other)))
    spin_until(accepted.done)
    assert accepted.result().success
    assert accepted.result().hash != old
    spin_until(lambda: robot.infos and robot.infos[-1].policy == str(other))
    spin_until(robot.is_connected)
    robot.observe(0)
    spin_until(lambda: robot.signals)


def test_only_the_policys_cameras_are_subscribed_to(running, spin_until, tmp_path):
    node, robot = running
    assert robot.count_subscribers("camera/front/image_raw") == 1
    assert robot.count_subscribers("camera/wrist/image_raw") == 0
    client = robot.create_client(LoadCheckpoint, "vla/load_checkpoint")
    spin_until(client.service_is_ready)
    robot.observe(0)
    other = make_checkpoint(tmp_path / "other", camera="wrist")
    loaded = client.call_async(LoadCheckpoint.Request(checkpoint=str(other)))
    spin_until(loaded.done)
    assert loaded.result().success
    spin_until(lambda: robot.count_subscribers("camera/wrist/image_raw") == 1)
    spin_until(lambda: robot.count_subscribers("camera/front/image_raw") == 0)
    assert node.exit_code == 0


def test_episodes_of_images_go_on_over_checkpoints_and_configurations(
    make_node, spin_until, tmp_path
):
    node, robot = make_node(step_source="images", instruction="pick it", stamp_tolerance=0.01)
    publishers = (robot.image_publisher, robot.joint_publisher, robot.pose_publisher)

    def load_checkpoint():
        other = make_checkpoint(tmp_path / "other", seed=7)
        client = robot.create_client(LoadCheckpoint, "vla/load_checkpoint")
        spin_until(client.service_is_ready)
        loaded = client.call_async(LoadCheckpoint.Request(checkpoint=str(other)))
        spin_until(loaded.done)
        assert loaded.result().success

    def configure_again():
        node.trigger_deactivate()
        node.trigger_cleanup()
        spin_until(lambda: not any(p.get_subscription_count() for p in publishers))
        node.trigger_configure()
        node.trigger_activate()

    for number, change in enumerate((lambda: None, load_checkpoint, configure_again)):
        change()

        def is_answered():
            # The same again until the new subscriptions hear it: repetitions count once.
            robot.send_body(robot.stamp(number))  # noqa: B023
            robot.send_image(robot.stamp(number), np.zeros((32, 32, 3), np.uint8))  # noqa: B023
            return len(robot.signals) > number  # noqa: B023

        spin_until(is_answered)
    assert [(m.episode, m.step) for m in robot.signals] == [(1, 0), (2, 0), (3, 0)]
