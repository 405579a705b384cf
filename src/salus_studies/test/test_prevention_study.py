# SPDX-License-Identifier: Apache-2.0
"""The study of prevention: the same seeds with and without interventions."""

import json
from pathlib import Path

import numpy as np
import pytest

from salus_core.failures import FAILURE_NAMES
from salus_studies.prevention_study.episode_log import EpisodeLog
from salus_studies.prevention_study.plan import ARMS, chosen
from salus_studies.prevention_study.rig import StudyError
from salus_studies.prevention_study.statistics import figures, holm, mcnemar, reduction, share
from salus_studies.prevention_study.study_prevention import main

PREDICTOR = Path(__file__).parents[2] / "salus_predictor_node/salus_predictor_node/weights/default"
SEED, SEEDS = 7_000_001, 2


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    arguments = ["--predictor", str(PREDICTOR), "--seed", str(SEED), "--seeds", str(SEEDS)]
    arguments += ["--arms", "rules", "alarm_hold", "always", "--workers", "1"]
    arguments += ["--output", str(folder)]
    assert main(arguments) == 0
    return folder, arguments


def rows(folder, arm):
    return [json.loads(line) for line in (folder / f"{arm}.jsonl").read_text().splitlines()]


def test_every_arm_has_every_seed_and_an_untouched_episode_is_the_base(study):
    folder, _ = study
    for arm in ("rules", "alarm_hold", "always"):
        found = rows(folder, arm)
        assert sorted(row["seed"] for row in found) == [SEED, SEED + 1]
        for row in found:
            assert row["outcome"] in ("success", *FAILURE_NAMES)
            if row["first"] < 0:
                assert (row["outcome"], row["steps"]) == (row["base"], row["base_steps"])
    assert any(row["first"] >= 0 for row in rows(folder, "always"))
    report = json.loads((folder / "report.json").read_text())
    assert report["arms"]["rules"]["episodes"] == SEEDS
    assert "| rules |" in (folder / "report.md").read_text()


def test_a_second_call_runs_nothing_again(study):
    folder, arguments = study
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.jsonl")}
    assert main(arguments) == 0
    assert {path.name: path.stat().st_mtime_ns for path in folder.glob("*.jsonl")} == before


def test_a_folder_of_another_study_is_refused(study, capsys):
    _, arguments = study
    assert main([*arguments, "--difficulty", "hard"]) == 1
    assert "another study" in capsys.readouterr().err


def test_a_log_is_the_same_after_reading(study, tmp_path):
    folder, _ = study
    first = EpisodeLog.load(folder / "base" / f"{SEED}.npz")
    first.save(tmp_path / "again.npz")
    again = EpisodeLog.load(tmp_path / "again.npz")
    assert len(first.log) == len(again.log) == first.steps
    for one, other in zip(first.log, again.log, strict=True):
        np.testing.assert_array_equal(one.output.latent, other.output.latent)
        np.testing.assert_array_equal(one.monitored.scene.values, other.monitored.scene.values)
        assert one.monitored.forecast.alarm == other.monitored.forecast.alarm


def test_a_placebo_needs_the_arm_whose_triggers_it_deals():
    assert [arm.name for arm in chosen(["rules", "placebo_1"])] == ["rules", "placebo_1"]
    with pytest.raises(StudyError, match="add that arm"):
        chosen(["placebo_1"])
    with pytest.raises(StudyError, match="no arm 'wild'"):
        chosen(["wild"])
    assert len(ARMS) == len({arm.name for arm in ARMS.values()})


def test_figures_of_pairs():
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(10, 0) == pytest.approx(2 * 0.5**10)
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    base = np.array([True] * 40 + [False] * 60)
    arm = base.copy()
    arm[:20] = False
    found = reduction(base, arm)
    assert found.value == 0.5
    assert 0.3 < found.low < 0.5 < found.high < 0.7
    assert share(0, 10).high == pytest.approx(0.3085, abs=1e-4)


def test_figures_of_an_arm():
    common = {"base_steps": 100, "tries": 1, "changed": 30, "about": {}}
    kept = [
        {"base": "drop", "outcome": "success", "first": 3, "steps": 90, **common},
        {"base": "success", "outcome": "success", "first": 5, "steps": 110, **common},
        {"base": "success", "outcome": "drop", "first": 7, "steps": 50, **common},
        {"base": "drop", "outcome": "success", "first": 9, "steps": 90, **common},
    ]
    found = figures(kept, 0.1)
    assert found["failures"] == [2, 1]
    assert (found["gained"], found["lost"]) == (2, 1)
    assert found["fired"] == 4
    assert found["fired_in_successes"] == 2
    assert found["time_on_successes"] == pytest.approx(0.1)
    assert found["seconds_per_avoided"] == pytest.approx(12.0)
