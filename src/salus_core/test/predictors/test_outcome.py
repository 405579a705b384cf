# SPDX-License-Identifier: Apache-2.0
"""`outcome`: members that are new to their fold, and an alarm on failing at all."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from salus_core.calibration import CrossConformal
from salus_core.data import DataError
from salus_core.data.testing import make_steps
from salus_core.failures import Outcome
from salus_core.predictors.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from salus_core.predictors.features import InputError, StepInputs
from salus_core.predictors.model import MismatchError
from salus_core.predictors.training.configuration import RunSettings
from salus_core.predictors.training.cross_figures import cross_figures, verdict
from salus_core.predictors.training.cross_validation import assign_folds, cross_validate
from salus_core.report.inputs import MissingInputError, require_inputs

CPU = torch.device("cpu")


def settings(**given):
    return RunSettings.from_mapping(
        {
            "predictor": "outcome",
            "training": {"updates": 60},
            "calibration": {"alpha": 0.1, **given.pop("calibration", {})},
            **given,
        }
    )


def with_episodes(data, **columns):
    return replace(data, episodes=replace(data.episodes, **columns))


@pytest.fixture(scope="module")
def data():
    return make_steps(60, seed=1, failing=0.4)


@pytest.fixture(scope="module")
def found(data):
    return cross_validate(settings(), data, CPU)


def test_each_member_is_new_to_its_fold(data, found):
    """Other labels of a fold change every member but the one that it is new to."""
    failure = np.array(data.episodes.failure)
    ours = (found.folds == 2) & data.episodes.failed
    failure[ours] = failure[ours] % 3 + 1
    other = cross_validate(settings(), with_episodes(data, failure=failure), CPU)
    assert (other.folds == found.folds).all()
    for index in range(5):
        before, after = (
            torch.cat([p.flatten() for p in one.predictor.network.members[index].parameters()])
            for one in (found, other)
        )
        assert torch.equal(before, after) == (index == 2)


def test_episodes_are_dealt_evenly_and_repeated_ones_together(data):
    groups = np.array([f"g{i // 2}" for i in range(60)], object)
    folds = assign_folds(with_episodes(data, group=groups), 5, 0)
    assert all(len(set(folds[groups == name])) == 1 for name in set(groups))
    folds = assign_folds(data, 5, 0)
    for kind in (data.episodes.failed, data.episodes.succeeded):
        counts = np.bincount(folds[kind], minlength=5)
        assert counts.max() - counts.min() <= 1


def test_what_is_not_known_teaches_nothing(data):
    outcome = np.array(data.episodes.outcome)
    outcome[:3] = Outcome.ABORTED
    intervened = np.arange(60) == 5
    folds = assign_folds(with_episodes(data, outcome=outcome, intervened=intervened), 5, 0)
    assert (np.flatnonzero(folds == -1) == [0, 1, 2, 5]).all()


def test_live_steps_score_as_recorded_ones_after_saving(data, found, tmp_path):
    save_checkpoint(found.predictor, tmp_path)
    predictor, _ = load_checkpoint(tmp_path)
    assert isinstance(predictor.band, CrossConformal)
    assert predictor.alarm_types == data.taxonomy.codes
    probabilities, score = predictor.forecasts(data)
    stream = predictor.stream()
    for episode, rows in list(data.iterate())[:6]:
        stream.reset()
        for row in range(rows.start, rows.stop):
            found_now = stream.update(StepInputs.of(data, row))
            assert np.abs(found_now - probabilities[row]).max() < 1e-6
            assert abs(stream.score - score[row]) < 1e-6
        assert (np.diff(score[rows]) >= 0).all(), episode


def test_new_failures_are_told_from_new_successes(found):
    new = make_steps(80, seed=7, first_seed=5000, failing=0.4)
    _, score = found.predictor.forecasts(new)
    table = new.episodes
    last = score[table.start + np.where(table.failed, table.onset_step, table.length) - 1]
    alarms = found.predictor.band.alarm(last, 0)
    assert alarms[table.succeeded].mean() < found.predictor.band.bound
    assert alarms[table.failed].mean() > alarms[table.succeeded].mean() + 0.3


def test_an_alarm_may_be_about_some_failures_alone(data):
    only = cross_validate(settings(calibration={"failures": ["drop"]}), data, CPU).predictor
    assert only.alarm_types == (data.taxonomy.code("drop"),)
    everything = only.network.head.member_risks(torch.zeros(1, only.network.head.outputs), (1, 2))
    one = only.network.head.member_risks(torch.zeros(1, only.network.head.outputs), (2,))
    assert (one < everything).all()


def test_too_few_successes_give_no_alarm_and_say_what_would(data):
    few = data.select(np.arange(24))
    found = cross_validate(settings(calibration={"alpha": 0.02}), few, CPU)
    assert found.predictor.band is None
    figures = cross_figures(settings(calibration={"alpha": 0.02}), few, found, CPU)
    assert "needs 49 successful episodes" in verdict(figures, 0.02)


def test_too_few_episodes_are_refused(data):
    with pytest.raises(DataError, match="at least 2 must fail and 5 succeed"):
        assign_folds(data.select(data.episodes.succeeded), 5, 0)


def test_figures_stand_beside_the_task_and_the_robots_state(data, found):
    figures = cross_figures(settings(), data, found, CPU)
    assert set(figures["roc_auc"]) == {"outcome", "task prior", "proprioception"}
    for value in figures["roc_auc"].values():
        assert value["low"] <= value["value"] <= value["high"]
    assert figures["roc_auc"]["outcome"]["value"] > 0.7
    assert [point["episodes"] for point in figures["learning_curve"]] == [15, 30, 60]
    assert "With 60 episodes" in verdict(figures, 0.1)


def test_a_checkpoint_with_another_kind_of_threshold_is_refused(found, tmp_path):
    save_checkpoint(found.predictor, tmp_path)
    text = (tmp_path / "manifest.json").read_text()
    (tmp_path / "manifest.json").write_text(text.replace('"members": 5', '"members": 6', 1))
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path)


def test_what_a_robot_never_has_is_not_asked_for(data, tmp_path):
    """No tool pose, and a joint whose velocity is never known."""
    names = data.proprioception_names
    gone = [n for n in names if n.startswith("tool.")] + ["velocity." + names[0].split(".")[1]]
    body = np.array(data.proprioception)
    body[:, [names.index(name) for name in gone]] = np.nan
    without = replace(data, proprioception=body)
    predictor = cross_validate(settings(), without, CPU).predictor
    assert set(predictor.layout.proprioception_names) == set(names) - set(gone)
    save_checkpoint(predictor, tmp_path)
    again, _ = load_checkpoint(tmp_path)
    # What it reads is found by name, whatever else is there.
    kept = again.layout.proprioception_names
    _, score = again.forecasts(data)
    assert (score == again.forecasts(without)[1]).all()
    _, other = again.forecasts(data.with_proprioception(kept[::-1]))
    assert (score == other).all()
    with pytest.raises(MismatchError, match=f"proprioception lacks {kept[0]}"):
        again.forecasts(data.with_proprioception(kept[1:]))
    nothing = replace(data, proprioception=np.full_like(body, np.nan))
    with pytest.raises(InputError, match="leave 'proprioception' out of the inputs"):
        cross_validate(settings(), nothing, CPU)


def test_what_was_not_recorded_but_is_read_is_missing_as_it_is_live(data, found):
    """Joints alone are no body for a predictor that reads the tool's pose, too."""
    body = np.array(data.proprioception)
    body[:, [name.startswith("tool.") for name in data.proprioception_names]] = np.nan
    without = replace(data, proprioception=body)
    nothing = replace(data, proprioception=np.full_like(body, np.nan))
    scores = [found.predictor.forecasts(one)[1] for one in (without, nothing)]
    assert (scores[0] == scores[1]).all()
    with pytest.raises(MissingInputError, match="no step of the test part has 'proprioception'"):
        require_inputs(found.predictor, without, "test")
