# SPDX-License-Identifier: Apache-2.0
"""`salus calibrate`: a threshold from new episodes; the weights stay."""

import json

import numpy as np
import pytest
from made_up_runs import write_runs

from salus_core.calibration import CrossConformal
from salus_core.commands.calibrate import main
from salus_core.commands.train import main as train
from salus_core.curves import first_alarm
from salus_core.data import read_steps
from salus_core.data.testing import make_steps
from salus_core.predictors.checkpoint import load_checkpoint


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A run to train on, a run of other episodes, and two checkpoints."""
    root = tmp_path_factory.mktemp("calibrate")
    runs, _ = write_runs(root / "first", make_steps(60, seed=1, failing=0.4))
    new, _ = write_runs(root / "other", make_steps(80, seed=9, failing=0.3))
    (root / "new").symlink_to(new)
    (root / "runs").symlink_to(runs)
    common = [f"data.runs=[{runs}]", "calibration.alpha=0.5"]
    assert train(["outcome", *common, f"output={root / 'outcome'}", "training.updates=60"]) == 0
    more = ["training.epochs=2", "training.auxiliary_weight=0", "network.outcome_head=true"]
    assert train(["temporal", *common, f"output={root / 'temporal'}", *more]) == 0
    return root


@pytest.mark.parametrize("kind", ["outcome", "temporal"])
def test_a_new_threshold_keeps_weights_and_its_promise(root, tmp_path, kind, capsys):
    old = root / kind / "checkpoint"
    arguments = [str(old), "--runs", str(root / "new"), "--output", str(tmp_path / "out")]
    assert main([*arguments, "--alpha", "0.1"]) == 0
    said = capsys.readouterr().out
    assert "threshold of the checkpoint: alarms in" in said
    before, _ = load_checkpoint(old)
    after, manifest = load_checkpoint(tmp_path / "out")
    assert after.weights_hash == before.weights_hash
    assert after.hash != before.hash
    assert (after.band.alpha, before.band.alpha) == (0.1, 0.5)
    assert isinstance(after.band, CrossConformal) == (kind == "outcome")
    assert manifest["data"]["calibration"]["episodes"] == 80
    data = read_steps(root / "new")
    table = data.episodes
    alarm = after.band.alarm(after.forecasts(data)[1], data.step)
    false = first_alarm(alarm, table.start, table.length)[table.succeeded] >= 0
    # On the very episodes that it is made from the rank leaves no more than alpha above it.
    assert false.mean() <= (0.1 if kind == "temporal" else 0.25)
    json.dumps(manifest)


def test_episodes_of_training_are_left_out_or_refused(root, tmp_path, capsys):
    checkpoint = str(root / "outcome" / "checkpoint")
    output = ["--output", str(tmp_path / "out")]
    assert main([checkpoint, "--runs", str(root / "runs"), *output]) == 1
    assert "promises nothing; name runs with new ones" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    both = [str(root / "runs"), str(root / "new")]
    assert main([checkpoint, "--runs", *both, *output]) == 0
    assert "60 episodes that the predictor learned from are left out" in capsys.readouterr().out


def test_too_small_a_rate_is_refused_with_what_it_needs(root, tmp_path, capsys):
    for kind in ("outcome", "temporal"):
        arguments = [str(root / kind / "checkpoint"), "--runs", str(root / "new")]
        assert main([*arguments, "--alpha", "0.001", "--output", str(tmp_path / "out")]) == 1
        assert "successful" in capsys.readouterr().err
    for outside in ("2", "0"):
        assert main([*arguments, "--alpha", outside, "--output", str(tmp_path / "out")]) == 1
        assert "--alpha must lie between 0 and 1" in capsys.readouterr().err


def test_the_cross_conformal_score_is_of_members_that_are_new_to_the_episode(root, tmp_path):
    arguments = [str(root / "outcome" / "checkpoint"), "--runs", str(root / "new")]
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 0
    predictor, _ = load_checkpoint(tmp_path / "out")
    counts = np.bincount(predictor.band.member, minlength=predictor.members)
    assert counts.max() - counts.min() <= 1
