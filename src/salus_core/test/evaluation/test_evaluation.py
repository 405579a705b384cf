# SPDX-License-Identifier: Apache-2.0
import dataclasses
import json

import numpy as np
import pytest

from salus_core import evaluation
from salus_core.baselines import make_baselines
from salus_core.data.testing import make_steps
from salus_core.evaluation import MAIN_TARGET, Scored
from salus_core.metrics import EpisodeBootstrap
from salus_core.predictors.interface import risk

LAST = 3


@pytest.fixture(scope="module")
def data():
    return make_steps(120, seed=3)


def oracle(data, sharpness=3.0, seed=0):
    """Probabilities that know the labels, with noise."""
    random = np.random.default_rng(seed)
    logit = sharpness * (data.labels - 0.5) + random.normal(size=(len(data), 1, 4)) - 2.0
    return np.maximum.accumulate(0.25 / (1.0 + np.exp(-logit)), axis=1).astype(np.float32)


def scored_oracle(data, **options):
    probabilities = oracle(data, **options)
    return Scored("oracle", risk(probabilities, data.taxonomy.main), probabilities)


def clock_figures(data):
    bootstrap = EpisodeBootstrap(len(data.episodes), 50)
    everyone = evaluation.groups_of(data)["all"]
    return {
        clock.name: evaluation.step_figures(
            evaluation.scored(clock.fit(data), data), data, everyone, bootstrap
        )
        for clock in make_baselines(["clock", "fitted_clock"])
    }


def failing_at(data, onset, length):
    """The same number of episodes, of which all fail by a drop at the same step."""
    episodes, steps = len(data.episodes), np.arange(length)
    chosen = data.select(np.flatnonzero(data.episodes.length >= length))
    keep = chosen.step < length
    number = len(chosen.episodes)
    ahead = onset - np.tile(steps, number)
    labels = np.zeros((number * length, 4, 4), bool)
    labels[:, :, 1] = (ahead[:, None] > 0) & (ahead[:, None] <= [6, 9, 12, 15])
    table = dataclasses.replace(
        chosen.episodes,
        start=np.arange(number) * length,
        length=np.full(number, length),
        outcome=np.full(number, 2, np.uint8),
        failure=np.full(number, 2, np.uint8),
        onset_step=np.full(number, onset),
    )
    assert episodes > number > 5
    return dataclasses.replace(
        chosen,
        **{
            name: getattr(chosen, name)[keep]
            for name in ("signals", "valid", "proprioception", "action", "action_std",
                         "embedding", "chunk", "episode", "step")
        },
        labels=labels,
        label_valid=np.repeat(ahead[:, None] > 0, 4, axis=1),
        episodes=table,
    )  # fmt: skip


def test_a_data_set_that_the_clock_solves_is_called_out_in_plain_words(data):
    solved = failing_at(data, onset=60, length=60)
    said = evaluation.clock_warnings(clock_figures(solved), solved)
    assert said[0].startswith("THE CLOCK SOLVES THIS DATA SET for failures other than timeouts")
    about = evaluation.warnings_about_data(solved)
    assert any("NO EPISODE SUCCEEDED" in sentence for sentence in about)
    assert any("ONSET AT STEP 60" in sentence for sentence in about)


def test_failures_at_a_fixed_early_step_are_called_out_though_the_clock_only_rises(data):
    early = failing_at(data, onset=30, length=80)
    # steps after the onset are censored, so only a fitted clock has both sides of the label
    uncensored = dataclasses.replace(early, label_valid=np.ones_like(early.label_valid))
    said = evaluation.clock_warnings(clock_figures(uncensored), uncensored)
    assert "('fitted_clock')" in said[0]


def test_a_sound_data_set_is_not_called_out(data):
    assert evaluation.clock_warnings(clock_figures(data), data) == []
    assert evaluation.warnings_about_data(data) == []


def test_a_predictor_that_is_not_better_than_the_clock_is_called_out(data):
    bootstrap = EpisodeBootstrap(len(data.episodes), 200)
    everyone = evaluation.groups_of(data)["all"]
    pair = (MAIN_TARGET, LAST)

    def area(method):
        found = evaluation.step_figures(method, data, everyone, bootstrap, pairs=[pair])
        return found[pair].auroc

    clock, chance, good = (
        area(method)
        for method in (
            evaluation.scored(make_baselines(["clock"])[0], data),
            evaluation.scored(make_baselines(["random"])[0], data),
            scored_oracle(data),
        )
    )
    from salus_core.metrics import difference

    lost = evaluation.gain_warnings("p", {"clock": {"auroc": difference(chance, clock)}})
    assert "'p' IS NOT SHOWN TO BE BETTER THAN 'clock' in AUROC" in lost[0]
    assert not evaluation.gain_warnings("p", {"clock": {"auroc": difference(good, clock)}})


def test_shuffled_labels_give_one_half():
    areas = []
    for seed in range(6):
        data = make_steps(150, seed=seed, shuffled=True)
        bootstrap = EpisodeBootstrap(len(data.episodes), 20)
        everyone = evaluation.groups_of(data)["all"]
        (neighbours,) = make_baselines(["cosine_knn_5"])
        half = np.arange(len(data.episodes)) % 2 == 0
        method = evaluation.scored(neighbours.fit(data.select(half)), data)
        found = evaluation.step_figures(
            method, data, everyone & ~half, bootstrap, pairs=[(MAIN_TARGET, LAST)]
        )
        areas.append(found[MAIN_TARGET, LAST].auroc.value)
    assert np.mean(areas) == pytest.approx(0.5, abs=0.03)


def test_step_figures_know_types_horizons_and_groups(data):
    bootstrap = EpisodeBootstrap(len(data.episodes), 50)
    groups = evaluation.groups_of(data)
    method = scored_oracle(data)
    thresholds = evaluation.validation_thresholds(method, data)
    every = evaluation.step_figures(method, data, groups["all"], bootstrap, thresholds)
    assert len(every) == 6 * 4
    drop = every["drop", 0]
    assert drop.auroc.value > 0.9
    assert drop.positives == int(data.labels[data.label_valid[:, 0], 0, 1].sum())
    assert np.isnan(every["timeout", 0].auroc.value)
    assert every["collision", 3].positives > every["collision", 0].positives
    for name in ("average_precision", "precision", "recall", "f1", "brier", "ece"):
        assert getattr(drop, name) is not None
    natural = evaluation.step_figures(method, data, groups["natural"], bootstrap)
    injected = evaluation.step_figures(method, data, groups["injected"], bootstrap)
    for pair in every:
        assert every[pair].positives == natural[pair].positives + injected[pair].positives
    assert natural["drop", 0].f1 is None


def test_a_score_without_types_serves_every_target(data):
    bootstrap = EpisodeBootstrap(len(data.episodes), 20)
    method = Scored("score", scored_oracle(data).score)
    found = evaluation.step_figures(
        method, data, evaluation.groups_of(data)["all"], bootstrap, pairs=[("drop", 0)]
    )
    assert found["drop", 0].ece is None
    assert found["drop", 0].auroc.value > 0.6


def test_alarms_of_every_alpha_are_judged_on_held_out_successes(data):
    calibration = make_steps(300, seed=9, failing=0.2)
    bootstrap = EpisodeBootstrap(len(data.episodes), 50)
    rows = evaluation.alpha_figures(
        scored_oracle(data), data, scored_oracle(calibration, seed=1), calibration, bootstrap
    )
    assert [row.alpha for row in rows] == [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5]
    assert all(row.as_promised for row in rows)
    recalls = [row.without_timeout.episode_recall.value for row in rows]
    assert recalls[-1] >= recalls[0]
    few = calibration.select(np.arange(60))
    rows = evaluation.alpha_figures(scored_oracle(data), data, scored_oracle(few), few, bootstrap)
    assert rows[0].alpha == 0.05  # smaller rates need more episodes than there are


def test_episode_figures_cut_at_t_min_and_count_timeouts_apart(data):
    table = data.episodes
    failure = table.failure.copy()
    failure[np.flatnonzero(table.failed)[:10]] = 4
    timed = dataclasses.replace(data, episodes=dataclasses.replace(table, failure=failure))
    bootstrap = EpisodeBootstrap(len(table), 50)
    everyone = evaluation.groups_of(timed)["all"]
    without = evaluation.episode_figures(scored_oracle(timed), timed, everyone, False, bootstrap)
    having = evaluation.episode_figures(scored_oracle(timed), timed, everyone, True, bootstrap)
    assert having.failed - without.failed == 10
    shortest = min(table.length[table.succeeded])
    assert min(without.t_min_auroc) == shortest
    clock = evaluation.scored(make_baselines(["clock"])[0], timed)
    figures = evaluation.episode_figures(clock, timed, everyone, True, bootstrap)
    assert figures.auroc.value <= 0.5


def test_figures_become_json(data):
    bootstrap = EpisodeBootstrap(len(data.episodes), 20)
    figures = evaluation.step_figures(
        scored_oracle(data), data, evaluation.groups_of(data)["all"], bootstrap,
        pairs=[("drop", 0), ("timeout", 1)],
    )  # fmt: skip
    content = json.loads(json.dumps(evaluation.plain(figures, data.horizons), allow_nan=False))
    assert set(content) == {"drop@0.2s", "timeout@0.3s"}
    assert set(content["drop@0.2s"]["auroc"]) == {"value", "low", "high"}
    assert content["timeout@0.3s"]["auroc"]["value"] is None


def test_a_score_that_is_not_finite_is_named(data):
    class Broken:
        name = "broken"

        def scores(self, data):
            score = np.zeros(len(data))
            score[7] = np.nan
            return score

    with pytest.raises(ValueError, match="'broken' gives no finite score for 1 steps, first for"):
        evaluation.scored(Broken(), data)


def test_a_smaller_ensemble_is_what_its_members_say(data):
    from salus_core.evaluation.members import LOST, with_members
    from salus_core.signals import Signal

    one, two = with_members(data, 1), with_members(data, 2)
    assert (one.embedding.shape[1], two.embedding.shape[1]) == (8, 16)
    assert not one.valid[:, Signal.EPISTEMIC_UNCERTAINTY].any()
    assert not one.action_std.any()
    first = data.chunk[:, :, 0].astype(np.float32)
    np.testing.assert_allclose(
        two.signals[:, Signal.EPISTEMIC_UNCERTAINTY], first.var(axis=1, ddof=1).mean(axis=1)
    )
    np.testing.assert_allclose(two.action_std, first.std(axis=1, ddof=1), rtol=1e-5)
    for small in (one, two):
        assert not small.valid[:, list(LOST)].any()
        assert small.members == small.chunk.shape[1]
    with pytest.raises(ValueError, match="cannot keep 3 members"):
        with_members(data, 3)
