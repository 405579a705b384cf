# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from salus_core.actions import TOOL_MOTION
from salus_core.baselines import BASELINES, BaselineError, make_baselines
from salus_core.baselines.fiper import chunk_entropy
from salus_core.baselines.stac import Stac, StacSingle
from salus_core.baselines.uncertainty import MaxUncertainty
from salus_core.data.testing import make_steps
from salus_core.predictors.interface import Detector


@pytest.fixture(scope="module")
def train():
    return make_steps(80, seed=1)


@pytest.fixture(scope="module")
def test():
    return make_steps(40, seed=2, first_seed=1000)


@pytest.fixture(scope="module")
def fitted(train):
    return {baseline.name: baseline.fit(train) for baseline in make_baselines(BASELINES)}


def area(data, score):
    valid = data.label_valid[:, -1]
    columns = [failure - 1 for failure in data.taxonomy.main]
    return roc_auc_score(data.labels[valid, -1][:, columns].any(1), score[valid])


def truncated(data, steps):
    """The same episodes, of which only the first steps have been seen."""
    keep = data.step < steps
    length = np.minimum(data.episodes.length, steps)
    arrays = {
        field.name: getattr(data, field.name)[keep]
        for field in dataclasses.fields(data)
        if isinstance(getattr(data, field.name), np.ndarray)
        and len(getattr(data, field.name)) == len(data)
    }
    table = dataclasses.replace(data.episodes, start=np.cumsum(length) - length, length=length)
    return dataclasses.replace(data, **arrays, episodes=table), keep


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_scores_each_step_from_the_steps_up_to_it(fitted, test, name):
    baseline = fitted[name]
    assert isinstance(baseline, Detector)
    score = baseline.scores(test)
    assert score.shape == (len(test),)
    assert score.dtype == np.float32
    assert np.isfinite(score).all()
    if name == "random":
        return
    early, keep = truncated(test, 25)
    np.testing.assert_allclose(baseline.scores(early), score[keep], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", BASELINES)
def test_steps_without_input_have_a_finite_score(fitted, test, name):
    arrays = {
        key: getattr(test, key).copy()
        for key in ("signals", "proprioception", "action", "action_std", "embedding", "chunk")
    }
    for array in arrays.values():
        array[[0, 5, 6, 100]] = np.nan
    score = fitted[name].scores(dataclasses.replace(test, **arrays))
    assert np.isfinite(score).all()


@pytest.mark.parametrize("name", ["mahalanobis", "cosine_knn_1", "cosine_knn_5", "cosine_knn_10",
                                  "rnd", "logpzo", "fiper", "max_epistemic_window"])  # fmt: skip
def test_what_reads_the_latent_or_the_signal_finds_a_failure_that_shows_there(fitted, test, name):
    assert area(test, fitted[name].scores(test)) > 0.6


@pytest.mark.parametrize("name", ["clock", "random", "proprioception", "stac_single"])
def test_what_sees_nothing_of_the_failure_finds_nothing(fitted, test, name):
    assert area(test, fitted[name].scores(test)) == pytest.approx(0.5, abs=0.12)


def test_the_fitted_clock_finds_failures_at_a_fixed_early_step(train):
    # Failures in the middle of longer episodes: a clock that only rises does not see them.
    labels = np.zeros_like(train.labels)
    labels[(train.step >= 15) & (train.step < 30), :, 0] = True
    data = dataclasses.replace(train, labels=labels, label_valid=np.ones_like(train.label_valid))
    clock, fitted = make_baselines(["clock", "fitted_clock"])
    assert area(data, fitted.fit(data).scores(data)) > 0.95
    assert area(data, clock.fit(data).scores(data)) < 0.45


def test_running_and_window_maximum_by_hand(train):
    data, _ = truncated(train.select(np.array([0, 1])), 4)
    signals = data.signals.copy()
    signals[:, 8] = [3, 1, 2, 0, 1, np.nan, 5, 2]
    data = dataclasses.replace(data, signals=signals)
    running, window = MaxUncertainty("epistemic"), MaxUncertainty("epistemic", 2)
    assert running.fit(data).scores(data).tolist() == [3, 3, 3, 3, 1, 1, 5, 5]
    assert window.fit(data).scores(data).tolist() == [3, 3, 2, 2, 1, 1, 5, 5]


def test_stac_is_zero_where_chunks_agree_and_the_discrepancy_by_hand_where_not(train):
    data, _ = truncated(train.select(np.array([0])), 3)
    plan = np.zeros((3, 2, 3, 7), np.float32)
    plan[2, :, :, 0] = 1.0  # the third chunk moves everything by one unit
    data = dataclasses.replace(data, chunk=plan, action_spec=TOOL_MOTION)
    stac = Stac()
    stac._beta = 4.0
    # overlap of two steps: squared distance 2 between any two members
    np.testing.assert_allclose(stac.scores(data), [0, 0, 2 - 2 * np.exp(-0.5)], rtol=1e-5)
    np.testing.assert_allclose(StacSingle().scores(data), [0, 0, 1.0])
    again = dataclasses.replace(data, step=np.array([0, 1, 3]))  # a lost step has no overlap
    assert Stac().scores(again).tolist() == [0, 0, 0]


def test_the_entropy_of_chunks_is_a_gaussians():
    chunk = np.random.default_rng(0).normal(scale=2.0, size=(1, 4000, 1, 1))
    assert chunk_entropy(chunk)[0] == pytest.approx(0.5 * np.log(2 * np.pi * np.e * 4), abs=0.03)
    with pytest.raises(BaselineError, match="two or more members"):
        chunk_entropy(chunk[:, :1])


def test_cosine_neighbours_by_hand(train):
    (neighbours,) = make_baselines(["cosine_knn_1"])
    neighbours._banks = (np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]))
    two = train.select(np.array([0]))
    embedding = np.zeros((len(two), 2), np.float16)
    embedding[:, 0] = 2.0
    embedding[1] = [3.0, 3.0]
    score = neighbours.scores(dataclasses.replace(two, embedding=embedding))
    np.testing.assert_allclose(score[:2], [-1.0, 0.0], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("stac", {"chunk": None}, "'stac' needs action chunks"),
        ("mahalanobis", {"embedding": np.zeros((0, 0))}, "'mahalanobis' needs embeddings"),
    ],
)
def test_missing_input_is_named(train, name, change, message):
    if "embedding" in change:
        change = {"embedding": np.zeros((len(train), 0), np.float16)}
    with pytest.raises(BaselineError, match=message):
        make_baselines([name])[0].fit(dataclasses.replace(train, **change)).scores(train)


def test_without_successes_a_density_cannot_be_fitted():
    with pytest.raises(BaselineError, match="'rnd' needs successful episodes"):
        make_baselines(["rnd"])[0].fit(make_steps(10, failing=1.0))


def test_an_unknown_baseline_is_refused():
    with pytest.raises(ValueError, match="unknown baseline 'magic': use some of clock, fitted"):
        make_baselines(["magic"])
