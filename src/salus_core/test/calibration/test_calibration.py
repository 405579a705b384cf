# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest

from salus_core.calibration import (
    CALIBRATIONS,
    calibration_from_dict,
    fit_calibration,
)
from salus_core.calibration.probabilities import MIN_SCALE


@pytest.fixture
def forecasts():
    """Probabilities that rise with the horizon, twice as bold as they should be in log odds."""
    random = np.random.default_rng(0)
    number = 20000
    logit = random.normal(-2.5, 1.2, (number, 1, 1)) + np.linspace(0.0, 1.0, 4)[None, :, None]
    logit = logit + 0.3 * random.normal(size=(number, 1, 3)) * np.array([1.0, 1.0, 1.0])
    logit = np.concatenate([logit, np.full((number, 4, 1), -4.0)], axis=2)
    truth = 1.0 / (1.0 + np.exp(-logit))
    draw = random.uniform(size=(number, 1, 4))
    labels = draw < truth
    labels[..., 3] = False  # never happens
    bold = 1.0 / (1.0 + np.exp(-(2.0 * logit + 1.0)))
    return bold, labels, np.ones((number, 4), bool), truth


@pytest.mark.parametrize(("name", "error"), [("platt", 0.01), ("isotonic", 0.02)])
def test_a_bold_forecast_is_put_right(forecasts, name, error):
    bold, labels, valid, truth = forecasts
    calibration = fit_calibration(name, bold, labels, valid)
    assert np.abs(bold - truth)[..., :3].mean() > 0.05
    mapped = calibration._map(bold.astype(float))
    assert np.abs(mapped - truth)[..., :3].mean() < error


def test_a_temperature_finds_the_scale_where_there_is_no_bias(forecasts):
    _, labels, valid, truth = forecasts
    logit = np.log(truth) - np.log1p(-truth)
    sharp = 1.0 / (1.0 + np.exp(-3.0 * logit))
    calibration = fit_calibration("temperature", sharp, labels, valid)
    np.testing.assert_allclose(calibration.scale[:, :3], 1.0 / 3.0, atol=0.03)
    assert not calibration.bias.any()


@pytest.mark.parametrize("name", CALIBRATIONS)
def test_calibrated_forecasts_rise_with_the_horizon_and_sum_to_one_at_most(forecasts, name):
    bold, labels, valid, _ = forecasts
    calibration = fit_calibration(name, bold, labels, valid)
    wild = np.random.default_rng(1).uniform(size=(500, 4, 4))
    result = calibration.apply(wild)
    assert result.dtype == np.float32
    assert (np.diff(result, axis=1) >= -1e-7).all()
    assert (result.sum(-1) <= 1.0 + 1e-6).all()
    assert (result >= 0).all()
    one = np.stack([calibration.apply(step) for step in wild])
    np.testing.assert_array_equal(one, result)  # a step by itself as in a batch


@pytest.mark.parametrize("name", CALIBRATIONS)
def test_json_keeps_every_number(forecasts, name):
    bold, labels, valid, _ = forecasts
    calibration = fit_calibration(name, bold, labels, valid)
    again = calibration_from_dict(
        json.loads(json.dumps(calibration.to_dict())), calibration.fitted.shape
    )
    np.testing.assert_array_equal(again.apply(bold), calibration.apply(bold))
    np.testing.assert_array_equal(again.fitted, calibration.fitted)


def test_a_type_without_failures_passes_unchanged_and_says_so(forecasts):
    bold, labels, valid, _ = forecasts
    calibration = fit_calibration("platt", bold, labels, valid)
    assert calibration.fitted[:, :3].all()
    assert not calibration.fitted[:, 3].any()
    np.testing.assert_allclose(calibration._map(bold)[..., 3], bold[..., 3])


def test_censored_steps_teach_nothing(forecasts):
    bold, labels, valid, _ = forecasts
    wrong, half = labels.copy(), valid.copy()
    half[::2] = False
    wrong[::2] = ~wrong[::2]
    one = fit_calibration("platt", bold, labels, half)
    other = fit_calibration("platt", bold, wrong, half)
    np.testing.assert_array_equal(one.scale, other.scale)


def test_an_unknown_calibration_is_refused(forecasts):
    with pytest.raises(ValueError, match="unknown calibration 'magic': use one of none, temp"):
        fit_calibration("magic", *forecasts[:3])


def test_a_forecast_that_is_worse_than_none_becomes_the_base_rate():
    random = np.random.default_rng(2)
    logit = random.normal(-2.0, 1.0, (5000, 1, 1))
    labels = random.uniform(size=logit.shape) < 1.0 / (1.0 + np.exp(logit + 3.5))
    probabilities = 1.0 / (1.0 + np.exp(-logit))
    calibration = fit_calibration("platt", probabilities, labels, np.ones((5000, 1), bool))
    assert calibration.scale.item() == MIN_SCALE
    assert calibration.apply(probabilities).mean() == pytest.approx(labels.mean(), rel=1e-3)
