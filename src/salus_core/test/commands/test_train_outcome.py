# SPDX-License-Identifier: Apache-2.0
"""`train outcome`: every recorded episode teaches; new ones test."""

import json

import pytest
from made_up_runs import write_runs

from salus_core.commands import evaluate
from salus_core.commands.train import main
from salus_core.data.testing import make_steps
from salus_core.predictors.checkpoint import load_checkpoint


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    root = tmp_path_factory.mktemp("outcome")
    runs, _ = write_runs(root / "runs", make_steps(40, seed=1, failing=0.4))
    arguments = ["outcome", f"data.runs=[{runs}]", f"output={root / 'out'}"]
    assert main([*arguments, "calibration.alpha=0.1", "training.updates=60"]) == 0
    return root


def test_all_episodes_teach_and_the_verdict_is_kept(trained):
    _, manifest = load_checkpoint(trained / "out" / "checkpoint")
    assert manifest["cross_validation"]["episodes"] == 40
    assert len(manifest["splits"]["parts"]["train"]) == 40
    assert "test" not in manifest["splits"]["parts"]
    assert manifest["alarm_types"] == ["collision", "drop", "missed_grasp", "timeout"]


def test_it_is_evaluated_on_new_runs_alone(trained, tmp_path, capsys):
    checkpoint = str(trained / "out" / "checkpoint")
    few = ["--replicates", "5", "--output", str(tmp_path / "report")]
    assert evaluate.main([checkpoint, *few]) == 1
    assert "name runs with new episodes with --runs" in capsys.readouterr().err
    other, _ = write_runs(tmp_path / "other", make_steps(20, seed=9))
    assert evaluate.main([checkpoint, *few, "--runs", str(other)]) == 0
    found = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert found["data"]["test"]["episodes"] == 20
    (ours,) = [one for name, one in found["methods"].items() if name == "outcome"]
    assert ours["alarm_alpha"] == 0.1
    assert ours["alarm"]["with_timeout"]["all"]["false_alarm_rate"]["value"] <= 0.5


def test_what_it_does_not_know_is_refused(trained, capsys):
    assert main(["outcome", f"data.runs=[{trained / 'runs'}]", "--resume"]) == 1
    assert "leave --resume and torchrun out" in capsys.readouterr().err
    assert main(["outcome"]) == 1
    assert "data.runs is empty" in capsys.readouterr().err
