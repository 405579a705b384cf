# SPDX-License-Identifier: Apache-2.0
"""The command `train`, from runs on disk to a checkpoint."""

import json
import os
import re
import socket
import subprocess
import sys

import numpy as np
import pytest
import yaml
from made_up_runs import write_runs

from salus_core.commands import evaluate
from salus_core.commands.train import main
from salus_core.data.testing import JOINT_NAMES, make_steps
from salus_core.episode_store import EpisodeEnd, EpisodeStart, EpisodeWriter, RunSchema
from salus_core.failures import Outcome
from salus_core.predictors.checkpoint import load_checkpoint
from salus_core.predictors.training import finish
from salus_core.signals import SIGNAL_NAMES


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A run of the made-up episodes, and the table of splits."""
    root = tmp_path_factory.mktemp("data")
    data = make_steps(60, seed=1, failing=0.4)
    schema = RunSchema(
        control_period=1 / 30,
        signal_names=SIGNAL_NAMES,
        signal_units=("",) * 12,
        signal_definitions=("",) * 12,
        signal_available=(True,) * 12,
        object_names=("red_cube",),
        joint_names=JOINT_NAMES,
        action=data.action_spec,
        embedding_size=data.embedding.shape[1],
        policy="made up",
        policy_hash="00",
        members=2,
        schema_hash="made up",
    )
    writer = EpisodeWriter(root / "runs", schema)
    table = data.episodes
    for episode, rows in data.iterate():
        writer.begin_episode(EpisodeStart(number=episode, seed=episode, max_steps=200))
        for row in range(rows.start, rows.stop):
            writer.append(
                {
                    "step": data.step[row],
                    "complete": True,
                    "action": data.action[row],
                    "action_std": data.action_std[row],
                    "state": data.proprioception[row],
                    "signals": data.signals[row],
                    "signals_valid": data.valid[row],
                    "embedding": data.embedding[row],
                }
            )
        writer.commit(
            EpisodeEnd(
                int(table.length[episode]),
                Outcome(int(table.outcome[episode])),
                int(table.failure[episode]),
                int(table.onset_step[episode]),
            )
        )
    writer.close()
    splits = root / "splits.yaml"
    splits.write_text(
        "splits: {train: {seeds: [0, 19]}, validation: {seeds: [20, 29]},"
        " calibration: {seeds: [30, 59]}}\n"
    )
    return root


def arguments(root, output, *more):
    return [
        "temporal",
        f"data.runs=[{root / 'runs'}]",
        f"data.splits={root / 'splits.yaml'}",
        f"output={output}",
        "training.epochs=2",
        "training.auxiliary_weight=0",
        "training.batch_size=8",
        "calibration.alpha=0.2",
        *more,
    ]


def test_a_checkpoint_comes_out_that_says_what_it_was_made_from(recorded, tmp_path, capsys):
    assert main(arguments(recorded, tmp_path)) == 0
    predictor, manifest = load_checkpoint(tmp_path / "checkpoint")
    assert predictor.band.alpha == 0.2
    assert predictor.calibration is not None
    assert manifest["data"]["train"]["episodes"] == 20
    assert manifest["data"]["calibration"]["seeds"] == [30, 59]
    assert manifest["training"]["settings"]["training"]["batch_size"] == 8
    assert "auroc" in manifest["metrics"]["validation"]
    assert "checkpoint: " in capsys.readouterr().out
    # The settings that were written make the same run again.
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert config["training"]["epochs"] == 2
    again = tmp_path / "again"
    assert main([str(tmp_path / "config.yaml"), f"output={again}"]) == 0
    other, _ = load_checkpoint(again / "checkpoint")
    assert other.weights_hash == predictor.weights_hash


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["data.train=training"], "has no split 'training': use train, validation, calibration"),
        (["data.splits=nowhere.yaml"], "nowhere.yaml cannot be read: No such file"),
        (["data.runs=[nowhere]"], "nowhere does not exist"),
        (["data.runs=[]"], "data.runs is empty"),
        (
            ["calibration.alpha=0.01"],
            r"needs 198 successful calibration episodes .*\n?.*calibration.alpha \(",
        ),
        (["data.validation=train"], "must be different splits, got train, train, calibration"),
        (["training.speed=3"], "unknown setting 'settings.training.speed'"),
    ],
)
def test_what_cannot_work_is_refused_before_training(recorded, tmp_path, capsys, more, message):
    assert main(arguments(recorded, tmp_path, *more)) == 1
    assert re.search(message, capsys.readouterr().err)


def test_calibration_can_be_left_out(recorded, tmp_path):
    assert main(arguments(recorded, tmp_path, "data.calibration=")) == 0
    predictor, manifest = load_checkpoint(tmp_path / "checkpoint")
    assert predictor.band is None
    assert "calibration" not in manifest["data"]


def by_fraction(root, output, *more):
    found = arguments(root, output, "calibration.alpha=0.5", *more)
    return [one for one in found if not one.startswith("data.splits")]


def test_runs_without_a_table_of_splits_are_split_by_fraction(recorded, tmp_path, capsys):
    assert main(by_fraction(recorded, tmp_path)) == 0
    assert "split by fractions" in capsys.readouterr().out
    checkpoint = str(tmp_path / "checkpoint")
    _, manifest = load_checkpoint(checkpoint)
    counts = {name: len(groups) for name, groups in manifest["splits"]["parts"].items()}
    assert counts == {"train": 36, "validation": 9, "calibration": 9, "test": 6}
    few = ["--replicates", "5", "--output", str(tmp_path / "report")]
    assert evaluate.main([checkpoint, *few]) == 0
    found = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert found["data"]["test"]["episodes"] == 6
    assert found["data"]["train"] == manifest["data"]["train"]
    assert not any("unseen episodes" in sentence for sentence in found["warnings"])
    # Under a table of seeds it shows how many of them training has seen.
    table = tmp_path / "table.yaml"
    table.write_text(
        "splits: {test: {seeds: [0, 14]}, train: {seeds: [15, 29]},"
        " validation: {seeds: [30, 44]}, calibration: {seeds: [45, 59]}}"
    )
    assert evaluate.main([checkpoint, "--splits", str(table), *few]) == 0
    said = capsys.readouterr().err
    assert re.search(r"of 15 episodes of the test part are, or repeat, those of the train", said)


def test_other_runs_than_those_of_training_are_all_test(recorded, tmp_path):
    assert main(by_fraction(recorded, tmp_path)) == 0
    other, _ = write_runs(tmp_path / "other", make_steps(20, seed=9))
    few = ["--replicates", "5", "--output", str(tmp_path / "report"), "--runs", str(other)]
    assert evaluate.main([str(tmp_path / "checkpoint"), *few]) == 0
    found = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert found["data"]["test"]["episodes"] == 20
    assert found["data"]["calibration"]["episodes"] == 9


def test_a_training_that_cannot_be_calibrated_is_kept(recorded, tmp_path, capsys, monkeypatch):
    def broken(*_):
        raise ValueError("the scores are all the same")

    with monkeypatch.context() as context:
        context.setattr(finish, "calibrate", broken)
        assert main(arguments(recorded, tmp_path)) == 1
    said = capsys.readouterr().err
    assert "is trained, but cannot be calibrated: the scores are all the same" in said
    weights = (tmp_path / "best" / "weights.safetensors").read_bytes()
    assert main([*arguments(recorded, tmp_path, "calibration.alpha=0.3"), "--resume"]) == 0
    assert (tmp_path / "checkpoint" / "weights.safetensors").read_bytes() == weights
    assert load_checkpoint(tmp_path / "checkpoint")[0].band.alpha == 0.3


@pytest.mark.parametrize(("failing", "missing"), [(0.0, "failed"), (1.0, "succeeded")])
def test_training_without_failures_or_without_successes_is_refused(
    tmp_path, capsys, failing, missing
):
    runs, _ = write_runs(tmp_path, make_steps(12, failing=failing))
    assert main(by_fraction(runs.parent, tmp_path / "out", "data.calibration=")) == 1
    said = capsys.readouterr().err
    assert f"none of the 9 training episodes {missing}: " in said
    assert f"no validation episode {missing}: " in said
    assert not (tmp_path / "out").exists()


def test_two_processes_train_together(recorded, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "salus_core.commands.train"]
    command += arguments(recorded, tmp_path, "data.calibration=")
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    running = [
        subprocess.Popen(
            command,
            env={**os.environ, **common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        errors = [process.communicate(timeout=240)[1] for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0, 0], errors
    predictor, _ = load_checkpoint(tmp_path / "checkpoint")
    data = make_steps(4)
    assert np.isfinite(predictor.scores(data)).all()


def test_no_ros_package_is_imported():
    code = (
        "import sys, salus_core.commands.train;"
        "assert not {'rclpy', 'salus_msgs', 'salus_ros'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
