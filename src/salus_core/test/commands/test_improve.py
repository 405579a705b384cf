# SPDX-License-Identifier: Apache-2.0
"""`salus improve`: a better checkpoint takes the place, a worse one does not, and back again."""

import json

import pytest
from made_up_runs import write_runs

from salus_core.commands.improve import main
from salus_core.commands.train import main as train
from salus_core.data.testing import make_steps
from salus_core.predictors.checkpoint import load_checkpoint


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Runs to learn from, a frozen test, and a good and a bad predictor."""
    root = tmp_path_factory.mktemp("improve")
    for name, episodes, seed in (("runs", 80, 1), ("few", 12, 3), ("test", 120, 9)):
        made, _ = write_runs(root / f"made_{name}", make_steps(episodes, seed=seed, failing=0.4))
        (root / name).symlink_to(made)
    for name, runs, updates in (("good", "runs", 40), ("bad", "few", 1)):
        given = [f"data.runs=[{root / runs}]", f"training.updates={updates}"]
        given += [f"output={root / name}", "calibration.alpha=0.5"]
        assert train(["outcome", *given]) == 0
    return root


def call(root, folder, *arguments):
    return main([str(folder), "--test", str(root / "test"), *map(str, arguments)])


def begun(root, tmp_path, kind):
    folder = tmp_path / "versions"
    assert main([str(folder), "--init", str(root / kind / "checkpoint")]) == 0
    return folder


def current(folder):
    return load_checkpoint(folder / "current")[0].hash


def test_a_better_one_takes_the_place_and_is_rolled_back(root, tmp_path, capsys):
    folder = begun(root, tmp_path, "bad")
    bad = current(folder)
    assert call(root, folder, "--candidate", root / "good" / "checkpoint") == 0
    assert "version 0002 takes the place of 0001" in capsys.readouterr().out
    assert current(folder) == load_checkpoint(root / "good" / "checkpoint")[0].hash
    held = json.loads((folder / "lineage.json").read_text())
    assert [one["accepted"] for one in held["versions"]] == [True, True]
    assert held["versions"][1]["parent"] == "0001"
    assert held["versions"][1]["comparison"]["difference"]["low"] > 0
    assert main([str(folder), "--rollback"]) == 0
    assert current(folder) == bad
    assert main([str(folder), "--rollback"]) == 1
    assert "is the first" in capsys.readouterr().err


def test_a_worse_one_is_kept_but_stays_out(root, tmp_path, capsys):
    folder = begun(root, tmp_path, "good")
    good = current(folder)
    assert call(root, folder, "--candidate", root / "bad" / "checkpoint") == 0
    assert "0001 stays" in capsys.readouterr().out
    assert current(folder) == good
    assert (folder / "0002" / "manifest.json").is_file()


def test_no_better_than_the_margin_asks_for_stays_out(root, tmp_path, capsys):
    folder = begun(root, tmp_path, "bad")
    given = ["--candidate", root / "good" / "checkpoint", "--margin", "0.9"]
    assert call(root, folder, *given) == 0
    assert "0001 stays" in capsys.readouterr().out


def test_it_trains_with_the_settings_of_the_version_in_use(root, tmp_path, capsys):
    folder = begun(root, tmp_path, "bad")
    given = ["--runs", root / "runs", "--set", "training.updates=40"]
    assert call(root, folder, *given) == 0
    assert "takes the place" in capsys.readouterr().out
    _, manifest = load_checkpoint(folder / "current")
    settings = manifest["training"]["settings"]
    assert settings["predictor"] == "outcome"
    assert settings["calibration"]["alpha"] == 0.5


def test_a_test_that_was_learned_from_or_changes_is_refused(root, tmp_path, capsys):
    folder = begun(root, tmp_path, "bad")
    good = str(root / "good" / "checkpoint")
    assert main([str(folder), "--test", str(root / "runs"), "--candidate", good]) == 1
    assert "nothing was learned from" in capsys.readouterr().err
    assert call(root, folder, "--candidate", good) == 0
    # A good test for the candidate is none if the version in use has learned from it.
    other = tmp_path / "other"
    assert main([str(other), "--init", good]) == 0
    bad = ["--candidate", str(root / "bad" / "checkpoint"), "--test", str(root / "runs")]
    assert main([str(other), *bad]) == 1
    assert "that the version in use was made from" in capsys.readouterr().err
    few = str(root / "few")
    assert main([str(folder), "--test", few, "--candidate", good]) == 1
    assert "other episodes than versions were compared on" in capsys.readouterr().err


def test_what_is_missing_is_said(root, tmp_path, capsys):
    assert main([str(tmp_path / "none"), "--rollback"]) == 1
    assert "--init CHECKPOINT" in capsys.readouterr().err
    folder = begun(root, tmp_path, "bad")
    assert main([str(folder)]) == 1
    assert "give --test" in capsys.readouterr().err
    assert main([str(folder), "--init", str(root / "good" / "checkpoint")]) == 1
    assert "leave --init out" in capsys.readouterr().err
    (folder / "lineage.json").write_text("{")
    assert main([str(folder), "--rollback"]) == 1
    assert "lineage.json cannot be read" in capsys.readouterr().err


def test_a_call_that_was_stopped_half_way_hinders_no_later_one(root, tmp_path):
    folder = begun(root, tmp_path, "bad")
    (folder / "0002").mkdir()
    (folder / "current").unlink()
    assert call(root, folder, "--candidate", root / "good" / "checkpoint") == 0
    assert (folder / "current").resolve().name == "0003"
