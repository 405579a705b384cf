# SPDX-License-Identifier: Apache-2.0
"""Robots of 14 and of 4 joint positions: policy, supervisor and recorder on real topics."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rclpy
import yaml
from any_robot import HEIGHT, WIDTH, AnyRobot
from builtin_interfaces.msg import Time
from numpy_backend import CHUNK, LATENT, MEMBERS, joint_positions, make_checkpoint
from oversized import any_action
from salus_msgs.msg import EpisodeStatus, Intervention, VlaSignals

from salus_core.commands import replay, train
from salus_core.data import read_steps
from salus_core.episode_store import open_run
from salus_core.predictors.checkpoint import load_checkpoint
from salus_core.signals import SIGNAL_NAMES, unpack_validity

pytestmark = pytest.mark.ros

BIMANUAL = [f"{side}_joint_{i}" for side in ("left", "right") for i in range(1, 8)]
SMALL = ["pan", "lift", "elbow", "wrist"]
POLICIES = Path(__file__).resolve().parents[2] / "salus_policies/test"
LENGTH = 50


class Graph:
    """The nodes of SALUS as processes of their own, beside a robot."""

    def __init__(self, environment, folder, joints, period):
        self._environment = {
            **environment,
            "PYTHONPATH": os.pathsep.join([str(POLICIES), os.environ.get("PYTHONPATH", "")]),
        }
        self.folder, self.joints = folder, joints
        self.context = rclpy.Context()
        rclpy.init(args=[], context=self.context)
        self.robot = AnyRobot(self.context, joints, period)
        self.logs, self._processes = {}, {}

    def start(self):
        checkpoint = make_checkpoint(
            self.folder / "policy",
            joints=len(self.joints),
            camera="top",
            size=(HEIGHT, WIDTH),
            action=joint_positions(self.joints),
        )
        self._start(
            "salus_vla_node.vla_node",
            backend="numpy_backend:NumpyBackend",
            checkpoint=str(checkpoint),
            inputs=["joint_states"],
            joint_names=self.joints,
            finger_joint_names=[""],
            joint_lower=[-3.0] * len(self.joints),
            joint_upper=[3.0] * len(self.joints),
            image_reliability="best_effort",
        )
        self._start("salus_supervisor.supervisor_node")
        self._start(
            "salus_recorder.recorder_node",
            output=str(self.folder / "runs"),
            cameras=["top"],
            image_height=HEIGHT,
            image_width=WIDTH,
            image_reliability="best_effort",
            joint_names=self.joints,
            required=["joint_states", "vla_signals", "command"],
            min_free_bytes=0,
            end_grace=2.0,
            keep_aborted=False,  # the episode that warms up
        )
        self.robot.until(lambda: self.robot.connected(2), check=self.check)
        self.robot.until(lambda: self.robot.heard["recorder_status"], check=self.check)
        self.robot.warm_up()

    def _start(self, module, **parameters):
        name = module.rpartition(".")[2]
        file = self.folder / f"{name}.yaml"
        file.write_text(yaml.safe_dump({"/**": {"ros__parameters": parameters}}))
        self.logs[name] = self.folder / f"{name}.log"
        given = ["--params-file", str(file)] if parameters else []
        with self.logs[name].open("w") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", module, "--ros-args", "-r", "__ns:=/robot", *given],
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def check(self):
        for name, process in self._processes.items():
            assert process.poll() is None, self.logs[name].read_text()

    def predict(self, checkpoint, episode):
        """Start the predictor, and wait in an aborted episode until it answers the policy."""
        self._start("salus_predictor_node.predictor_node", checkpoint=str(checkpoint))
        node = self.robot.node
        self.robot.until(lambda: node.count_publishers("failure_forecast"), check=self.check)
        self.robot.warm_up(episode, "failure_forecast")

    def run(self, episode, length=LENGTH, state=EpisodeStatus.STATE_SUCCEEDED):
        self.robot.run_episode(episode, length, state)
        status = self.robot.heard["recorder_status"]
        self.robot.until(
            lambda: status[-1].episodes and status[-1].last_episode == episode, check=self.check
        )
        return status[-1]

    def stop(self):
        for process in self._processes.values():
            process.send_signal(signal.SIGINT)
        codes = {name: process.wait(30) for name, process in self._processes.items()}
        self._processes = {}
        return codes

    def close(self):
        for process in self._processes.values():
            process.kill()
            process.wait()
        self.robot.close()
        rclpy.try_shutdown(context=self.context)


@pytest.fixture
def graph(ros2, tmp_path):
    graphs = []

    def start(joints, period):
        graphs.append(Graph(ros2, tmp_path, joints, period))
        graphs[-1].start()
        return graphs[-1]

    yield start
    for graph in graphs:
        graph.close()


@pytest.mark.parametrize(("joints", "period"), [(BIMANUAL, 0.02), (SMALL, 0.1)])
def test_joint_positions_are_proposed_executed_and_recorded(graph, joints, period):
    running = graph(joints, period)
    robot, count = running.robot, len(joints)
    for episode in (1, 2):
        status = running.run(episode)
        assert (status.last_steps, status.last_gaps) == (LENGTH, 0)
    assert running.stop() == dict.fromkeys(running.logs, 0)

    (info,) = robot.heard["signal_info"]
    assert list(info.action_names) == joints
    assert set(info.action_kinds) == {"joint_position"}
    assert list(info.chunk_shape) == [MEMBERS, CHUNK, count]
    available = dict(zip(info.names, info.available, strict=True))
    assert not available["execution_mismatch"]
    assert available["constraint_margin"]

    proposed = {(m.episode, m.step): m for m in robot.heard["vla_signals"]}
    executed = {(m.episode, m.step): m for m in robot.heard["command"]}
    assert {m.kind for m in robot.heard["intervention"]} == {Intervention.KIND_PASS}
    for key, command in executed.items():
        assert list(command.action) == list(proposed[key].action)
        assert np.abs(np.array(command.action) - robot.said[key]).max() < 0.2
    last = proposed[2, LENGTH]
    valid = {SIGNAL_NAMES[i] for i in np.flatnonzero(unpack_validity(last.valid))}
    assert valid == set(SIGNAL_NAMES) - {"execution_mismatch", "ood_distance"}
    assert last.constraint_margin == pytest.approx(3.0 - np.abs(robot.said[2, LENGTH]).max())
    assert len(last.embedding) == LATENT
    assert list(last.policy_action) == []

    (path,) = (running.folder / "runs").glob("*/data.zarr")
    run = open_run(path.parent)
    assert [(episode.seed, episode.instruction) for episode in run] == [
        (71, "fold it"),
        (72, "fold it"),
    ]
    assert list(run.attributes["action_kinds"]) == ["joint_position"] * count
    for episode in run:
        assert episode["complete"].all()
        for step in range(LENGTH):
            key = (episode.number, step)
            np.testing.assert_array_equal(episode["action"][step], proposed[key].action)
            np.testing.assert_array_equal(episode["command"][step], executed[key].action)
            np.testing.assert_array_equal(episode["chunk"][step].ravel(), proposed[key].chunk)
            np.testing.assert_array_equal(episode["state"][step, :count], robot.said[key])
            assert np.isnan(episode["state"][step, count:]).all()


@pytest.mark.parametrize(("joints", "period"), [(BIMANUAL, 0.02), (SMALL, 0.1)])
def test_a_predictor_is_trained_on_its_episodes_and_forecasts_live(
    graph, tmp_path, capsys, joints, period
):
    running = graph(joints, period)
    taught, told = 12, 2
    for episode in range(1, taught + 1):
        failed = episode % 2 == 0
        state = EpisodeStatus.STATE_FAILED if failed else EpisodeStatus.STATE_SUCCEEDED
        running.run(episode, 20, state)
    (run,) = (running.folder / "runs").glob("*/data.zarr")
    settings = [
        f"data.runs=[{run.parent}]",
        f"output={tmp_path / 'trained'}",
        "inputs=[signals,valid,action,action_std,embedding]",
        *("network.width=8", "training.epochs=1", "training.auxiliary_weight=0"),
        "data.calibration=",
    ]
    assert train.main(["temporal", *settings]) == 0, capsys.readouterr().err
    checkpoint = tmp_path / "trained/checkpoint"
    running.predict(checkpoint, taught + 1)
    # The recorder hears of the predictor later than the robot does: nobody can see when.
    for warm in range(1, 11):
        running.run(taught + 1 + warm, 20)
        if np.isfinite(open_run(run.parent)[-1]["forecast"]).all():
            break
    for episode in range(taught + 2 + warm, taught + told + 2 + warm):
        running.run(episode, 20)

    predictor, _ = load_checkpoint(checkpoint)
    data = read_steps([run.parent], horizons=predictor.horizons)
    assert data.action.shape[1] == len(joints)
    offline = predictor.scores(data)
    episodes = open_run(run.parent)
    assert len(episodes) == taught + warm + told
    for index in range(taught + warm, taught + warm + told):
        live = episodes[index]["forecast"].reshape(20, *offline.shape[1:])
        assert np.isfinite(live).all()
        np.testing.assert_allclose(live, offline[data.rows(index)], rtol=0, atol=1e-6)
    capsys.readouterr()
    given = [str(run.parent), "--checkpoint", str(checkpoint), "--output", str(tmp_path / "again")]
    assert replay.main([*given, "--replicates", "10"]) == 0
    said = capsys.readouterr().out
    count = sum(int(np.isfinite(one["forecast"]).all(axis=1).sum()) for one in episodes)
    assert count >= 20 * (told + 1)
    assert f"Of {count} forecasts in the recording" in said
    assert "0 differ by more than 1e-6" in said


@pytest.mark.parametrize("count", [0, 6, 65])
def test_a_wrong_length_in_the_middle_moves_nothing_and_says_both_lengths(graph, count):
    running = graph(BIMANUAL, 0.02)
    robot = running.robot
    running.run(1)
    policy = robot.second_policy(listeners=3)  # the robot itself, supervisor, recorder
    before = len(robot.heard["command"])
    robot.status(2)
    robot.tell_joints(Time(sec=900))
    time.sleep(0.2)  # the supervisor holds what it heard last
    wrong = any_action(VlaSignals(episode=2, step=0), [0.0] * count)
    policy.publish(wrong)
    told = f"the proposed action has {count} numbers, 14 are declared"
    robot.until(lambda: robot.heard["intervention"][-1].reason.startswith(told), 10, running.check)
    robot.until(lambda: len(robot.heard["command"]) > before)
    (command,) = robot.heard["command"][before:]
    # What is executed instead keeps every joint where it is.
    np.testing.assert_array_equal(command.action, robot.where)
    log = running.logs["supervisor_node"]
    robot.until(lambda: told in log.read_text(), 10)
