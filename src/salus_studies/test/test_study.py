# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest

from salus_studies.policy_evaluation import study_policy
from salus_studies.policy_evaluation.study_episodes import ENSEMBLE, EXPERT, Cell, Result, Stage
from salus_studies.policy_evaluation.study_filmstrips import draw_strip, key_steps
from salus_studies.policy_evaluation.study_probe import linear_probe
from salus_studies.policy_evaluation.study_report import (
    comparisons,
    disagreement,
    markdown,
    probe,
    rates,
    wilson,
)


def results(actor, difficulty, outcomes, **fields):
    cell = Cell(actor, difficulty)
    return [
        Result(cell, seed, task="push", outcome=outcome, steps=50, **fields)
        for seed, outcome in enumerate(outcomes)
    ]


def test_wilson_interval_is_the_published_one():
    # Newcombe 1998, table I: 81 of 263.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(0, 20)[0] == 0.0
    assert wilson(20, 20) == pytest.approx((1 - wilson(0, 20)[1], 1.0))


def test_rates_count_by_cell_and_task_and_leave_refused_seeds_out():
    found = results(EXPERT, "easy", ["success", "success", "drop", "refused"])
    found[0].task = "stack"
    rows = {row["task"]: row for row in rates(found)}
    assert rows["all"]["episodes"] == 3
    assert rows["all"]["success"] == pytest.approx(2 / 3)
    assert rows["all"]["outcomes"]["drop"] == rows["all"]["refused"] == 1
    assert rows["stack"]["success"] == 1.0
    assert rows["push"]["success"] == 0.5


def test_ratio_of_disagreement_is_of_means_over_episodes():
    random = np.random.default_rng(0)
    found = []
    for difficulty, level in (("easy", 1.0), ("hard", 2.0)):
        for one in results(ENSEMBLE, difficulty, ["success"] * 200):
            one.epistemic = one.epistemic_early = level * random.uniform(0.9, 1.1)
            found.append(one)
    row = disagreement(found)["hard over easy, all steps"]
    assert row["low"] < row["ratio"] < row["high"]
    assert row["ratio"] == pytest.approx(2.0, abs=0.05)
    assert "standard over easy, all steps" not in disagreement(found)


def test_comparisons_pair_the_seeds_and_span_the_members():
    found = results("member_0", "standard", ["success", "drop", "success", "success"])
    found += results("member_1", "standard", ["success", "drop", "drop", "refused"])
    found += results(ENSEMBLE, "standard", ["success", "success", "drop", "drop"])
    for one in results(ENSEMBLE, "standard", ["drop", "success", "drop"]):
        one.cell = Cell(ENSEMBLE, "standard", "unseen")
        found.append(one)
    row = comparisons(found)
    assert row["members"] == {"lowest": pytest.approx(1 / 3), "highest": pytest.approx(3 / 4)}
    assert row["unseen_minus_seen"]["pairs"] == 3
    assert row["unseen_minus_seen"]["difference"] == pytest.approx(-1 / 3)


def test_linear_probe_reads_what_is_linear_and_nothing_else():
    random = np.random.default_rng(0)
    episode = np.repeat(np.arange(80), 10)
    x = random.normal(size=(800, 20))
    y = np.column_stack([x[:, 3] - 2 * x[:, 5], random.normal(size=800), np.full(800, np.nan)])
    y[::2, 0] = np.nan
    scores = linear_probe(x, y, episode, episode % 2 == 1, ("linear", "noise", "absent"))
    assert [score.name for score in scores] == ["linear", "noise"]
    assert scores[0].r2 > 0.99
    assert scores[0].error < 0.05
    assert scores[0].rows == 200
    assert scores[1].r2 < 0.1


def test_probe_never_scores_on_episodes_that_it_was_fitted_on():
    """Features that name the episode read its constant target on the same episodes only."""
    random = np.random.default_rng(0)
    found = []
    for seed in range(40):
        one = Result(Cell(ENSEMBLE, "standard"), seed)
        one.embeddings = np.tile(np.eye(40, dtype=np.float32)[seed], (5, 1))
        one.targets = np.tile(random.normal(size=8), (5, 1))
        found.append(one)
    study = probe(found, members=2)
    assert (study["train_episodes"], study["test_episodes"]) == (20, 20)
    assert set(study["scores"]) == {"embedding", "member_0", "member_1"}
    assert all(score["r2"] < 0.3 for score in study["scores"]["embedding"])


def test_key_steps_hold_the_beginning_the_end_and_the_onset():
    assert key_steps(100, 97).tolist()[-1] == 97
    steps = key_steps(100, 31)
    assert steps[0] == 0
    assert steps[-1] == 100
    assert 31 in steps
    assert len(steps) == 8
    assert key_steps(2, 2).tolist() == [0, 1, 2]


def test_filmstrip_marks_the_onset():
    failure = Result(Cell(ENSEMBLE, "easy"), 1, "push", "push it", "drop", steps=20, onset=14)
    figure = draw_strip(failure, [np.zeros((8, 8, 3), np.uint8)] * 21)
    titles = {axes.get_title(): axes.title.get_color() for axes in figure.axes}
    assert titles["step 14"] == "#c1121f"
    assert titles["step 0"] == "black"


def test_an_episode_is_the_same_after_it_was_written_and_read():
    one = Result(Cell(ENSEMBLE, "hard", "unseen"), 7, "stack", "stack it", "missed_grasp", 40, 38)
    one.faults, one.epistemic = ("arm_force",), 0.25
    again = Result.from_dict(json.loads(json.dumps(one.to_dict())))
    assert again.to_dict() == one.to_dict()
    assert again.cell == one.cell
    assert np.isnan(again.epistemic_early)


def test_expert_solves_an_easy_episode_on_the_stage():
    stage = Stage({})
    result, images = stage.play(Cell(EXPERT, "easy"), 4_000_000)
    assert result.outcome == "success"
    assert result.steps > 20
    assert images == []


def test_bad_arguments_are_named(tmp_path, capsys):
    assert study_policy.main(["--output", str(tmp_path), "--episodes", "1"]) == 1
    assert "--episodes must be at least 2" in capsys.readouterr().err
    arguments = ["--output", str(tmp_path / "x"), "--checkpoint", str(tmp_path)]
    assert study_policy.main(arguments) == 1
    assert "ensemble.json" in capsys.readouterr().err


def test_a_study_of_other_weights_or_another_world_is_refused(tmp_path, capsys, monkeypatch):
    for _ in range(2):
        study_policy.Study(tmp_path, "default", "")
    other = {**study_policy.world_hashes(), "scene": "another"}
    monkeypatch.setattr(study_policy, "world_hashes", lambda: other)
    assert study_policy.main(["--output", str(tmp_path)]) == 1
    assert "a study of other scene (weights.json): choose another" in capsys.readouterr().err
    (tmp_path / "weights.json").write_text('{"hash": "another"}')  # as before there were more
    assert study_policy.main(["--output", str(tmp_path)]) == 1
    assert "a study of other weights, scene, rules, experts" in capsys.readouterr().err


@pytest.mark.slow
def test_a_study_writes_its_tables_and_goes_on_where_it_stopped(tmp_path, capsys):
    arguments = ["--output", str(tmp_path), "--episodes", "2", "--workers", "1"]
    assert study_policy.main([*arguments, "--parts", EXPERT, "latency"]) == 0
    log = tmp_path / "episodes.jsonl"
    first = log.read_text()
    assert len(first.splitlines()) == 3
    with log.open("a") as file:
        file.write('{"cell": {"act')  # killed while writing
    assert study_policy.main([*arguments, "--parts", EXPERT, ENSEMBLE]) == 0
    study = json.loads((tmp_path / "study.json").read_text())
    actors = {(row["actor"], row["difficulty"], row["wording"]) for row in study["rates"]}
    assert len(actors) == 7
    assert log.read_text().startswith(first)
    assert study["latency"]["1 member"]["median_ms"] > 0
    assert (tmp_path / "study.md").read_text() == markdown(study)
    assert "| expert | easy | seen | 1 |" in capsys.readouterr().out
