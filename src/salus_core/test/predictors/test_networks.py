# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest
import torch

from salus_core.data.testing import make_steps
from salus_core.predictors.features import InputError
from salus_core.predictors.heads import HazardHead, HorizonHead
from salus_core.predictors.interface import risk
from salus_core.predictors.registry import KINDS
from salus_core.predictors.training.configuration import RunSettings
from salus_core.predictors.training.trainer import make_predictor

DATA = make_steps(8)


def fresh(name, **settings):
    return make_predictor(RunSettings.from_mapping({"predictor": name, **settings}), DATA)


@pytest.mark.parametrize(
    ("name", "parameters"), [("mvp", 4868), ("mlp", 35728), ("mlp_large", 149984)]
)
def test_networks_have_the_size_that_is_documented(name, parameters):
    assert fresh(name).parameters == parameters


@pytest.mark.parametrize("name", [name for name in KINDS if not name.startswith("safe")])
def test_probabilities_never_fall_with_the_horizon(name):
    predictor = fresh(name)
    for parameter in predictor.network.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    scores = predictor.scores(DATA)
    assert scores.shape == (len(DATA), 4, 4)
    assert (np.diff(scores, axis=1) >= 0).all()
    assert ((scores >= 0) & (scores <= 1)).all()


def test_both_signs_of_a_rotation_give_the_same_forecasts():
    other = dataclasses.replace(DATA, proprioception=DATA.proprioception.copy())
    other.proprioception[::2, -4:] *= -3.0  # nor does the norm say anything
    predictor = fresh("temporal", inputs=["proprioception"])
    np.testing.assert_allclose(predictor.scores(other), predictor.scores(DATA), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["safe_mlp", "safe_lstm"])
def test_the_detectors_of_safe_give_one_score_per_step(name):
    scores = fresh(name).scores(DATA)
    assert scores.shape == (len(DATA),)
    if name == "safe_mlp":
        first = DATA.rows(0)
        assert (np.diff(scores[first]) >= 0).all()


def test_competing_risks_add_up_to_less_than_one():
    outputs = 3 * torch.randn(50, 60) - 3
    probabilities = HazardHead((6, 9, 12, 15), 4).probabilities(outputs)
    assert probabilities.sum(-1).max() <= 1.0 + 1e-6
    assert probabilities.sum(-1).min() > 0.0
    assert risk(probabilities.numpy(), (1, 2, 3)).max() <= 1.0


def test_hazards_of_one_type_are_the_textbook_survival():
    """Constant hazard q of one type: P(within h) = 1 - (1 - q)^h."""
    logits = torch.full((15, 4), -100.0)
    logits[:, 2] = 0.0  # q = 1 / 2
    found = HazardHead((1, 2, 3, 15), 4).probabilities(logits.flatten())
    np.testing.assert_allclose(found[:, 2], [0.5, 0.75, 0.875, 1 - 0.5**15], rtol=1e-5)


def test_an_outlook_leaves_room_for_success_and_changes_no_hazard():
    head, plain = HazardHead((6, 9, 12, 15), 4, outlook=True), HazardHead((6, 9, 12, 15), 4)
    outputs = 3 * torch.randn(50, head.outputs)
    ends = head.log_outlook(outputs).exp()
    torch.testing.assert_close(ends.sum(-1), torch.ones(50))
    assert ends.shape == (50, 5)
    torch.testing.assert_close(
        head.probabilities(outputs), plain.probabilities(outputs[:, : plain.outputs])
    )
    assert head.log_outlook(torch.zeros(head.outputs)).exp()[-1] == pytest.approx(0.2)


def test_log_probabilities_of_a_horizon_head_are_complements():
    yes, no = HorizonHead(4, 4).log_probabilities(3 * torch.randn(50, 16))
    torch.testing.assert_close(yes.exp() + no.exp(), torch.ones_like(yes))


def test_a_step_sees_nothing_that_comes_after_it():
    predictor = fresh("temporal")
    before = predictor.scores(DATA)
    changed = make_steps(8)
    first = changed.rows(0)
    changed.embedding[first.stop - 5 : first.stop] += 3
    after = predictor.scores(changed)
    np.testing.assert_array_equal(before[: first.stop - 5], after[: first.stop - 5])
    assert (before[first.stop - 1] != after[first.stop - 1]).any()


def test_a_tcn_forgets_what_lies_before_its_window():
    predictor = fresh("temporal")
    assert predictor.network.context == 15
    changed = make_steps(8)
    changed.embedding[0] += 3
    before, after = predictor.scores(DATA), predictor.scores(changed)
    assert (before[14] != after[14]).any()
    np.testing.assert_array_equal(before[15], after[15])


def test_signals_that_are_left_out_make_no_difference():
    predictor = fresh("mlp", signals=["action_magnitude"])
    changed = make_steps(8)
    changed.signals[:, 8] += 7.0
    np.testing.assert_array_equal(predictor.scores(DATA), predictor.scores(changed))
    changed.signals[:, 1] += 7.0
    assert (predictor.scores(DATA) != predictor.scores(changed)).any()


def test_an_unknown_input_is_named():
    with pytest.raises(InputError, match="unknown input 'images'"):
        fresh("mlp", inputs=["images"])
