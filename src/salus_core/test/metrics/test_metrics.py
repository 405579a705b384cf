# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from salus_core import metrics
from salus_core.metrics import EpisodeBootstrap

PERIOD = 1.0 / 30.0


@pytest.fixture
def steps():
    """Scores of 60 episodes of 20 to 60 steps, with ties, positives in a third of the episodes."""
    random = np.random.default_rng(0)
    length = random.integers(20, 60, 60)
    episode = np.repeat(np.arange(60), length)
    positive = np.concatenate([np.arange(n) > n - 8 if e % 3 == 0 else np.zeros(n, bool)
                               for e, n in enumerate(length)])  # fmt: skip
    score = np.round(random.normal(positive * 1.0 + 0.3 * random.normal(size=60)[episode]), 2)
    return score, positive, episode


def test_values_are_scikit_learns(steps):
    score, positive, episode = steps
    bootstrap = EpisodeBootstrap(60, 20)
    area = metrics.auroc(score, positive, episode, bootstrap)
    precision = metrics.average_precision(score, positive, episode, bootstrap)
    assert area.value == pytest.approx(roc_auc_score(positive, score))
    assert precision.value == pytest.approx(average_precision_score(positive, score))


def test_replicates_are_scikit_learns_on_the_resampled_episodes(steps):
    score, positive, episode = steps
    bootstrap = EpisodeBootstrap(60, 30, seed=1)
    area = metrics.auroc(score, positive, episode, bootstrap)
    precision = metrics.average_precision(score, positive, episode, bootstrap)
    for b in range(30):
        weight = bootstrap.counts[b][episode]
        want = roc_auc_score(positive, score, sample_weight=weight)
        assert area.replicates[b] == pytest.approx(want, abs=1e-3)
        want = average_precision_score(positive, score, sample_weight=weight)
        assert precision.replicates[b] == pytest.approx(want, abs=0.01)


def test_a_score_without_information_has_an_interval_around_one_half(steps):
    _, positive, episode = steps
    inside = 0
    for seed in range(40):
        score = np.random.default_rng(seed).normal(size=len(positive))
        area = metrics.auroc(score, positive, episode, EpisodeBootstrap(60, 200, seed))
        inside += area.low <= 0.5 <= area.high
    assert inside >= 34


def test_one_class_gives_no_figure_and_one_failed_episode_no_interval():
    episode = np.repeat(np.arange(10), 5)
    score = np.arange(50.0)
    bootstrap = EpisodeBootstrap(10, 100)
    none = metrics.auroc(score, np.zeros(50, bool), episode, bootstrap)
    assert np.isnan(none.value)
    assert none.to_dict() == {"value": None, "low": None, "high": None}
    one = metrics.auroc(score, episode == 9, episode, bootstrap)
    assert one.value == 1.0
    assert np.isnan(one.low)


def test_a_difference_is_paired(steps):
    score, positive, episode = steps
    bootstrap = EpisodeBootstrap(60, 300)
    noise = 0.9 * np.random.default_rng(5).normal(size=len(score))
    good = metrics.auroc(score, positive, episode, bootstrap)
    worse = metrics.auroc(score + noise, positive, episode, bootstrap)
    paired = metrics.difference(good, worse)
    assert paired.value == pytest.approx(good.value - worse.value)
    assert 0 < paired.low < paired.value < paired.high
    assert paired.high - paired.low < good.high - good.low
    assert metrics.difference(good, good).high == 0.0


def test_the_f1_threshold_is_the_best_of_all():
    score = np.array([0.1, 0.4, 0.35, 0.8, 0.7])
    positive = np.array([0, 0, 1, 1, 1], bool)
    # by hand: at 0.35 P = 3/4, R = 1, F1 = 6/7; at 0.7 P = 1, R = 2/3, F1 = 4/5
    assert metrics.best_f1_threshold(score, positive) == 0.35
    assert metrics.best_f1_threshold(score, np.zeros(5, bool)) == np.inf


def test_precision_recall_and_f1_by_hand():
    alarm = np.array([1, 1, 0, 0, 1, 0], bool)
    positive = np.array([1, 0, 1, 0, 1, 1], bool)
    figures = metrics.decisions(alarm, positive, np.arange(6), EpisodeBootstrap(6, 50))
    assert figures["precision"].value == pytest.approx(2 / 3)
    assert figures["recall"].value == pytest.approx(2 / 4)
    assert figures["f1"].value == pytest.approx(4 / 7)


def test_brier_and_calibration_error_by_hand():
    probability = np.array([0.01, 0.01, 0.9, 0.9])
    positive = np.array([0, 1, 1, 1], bool)
    bootstrap = EpisodeBootstrap(4, 50)
    error = metrics.calibration_error(probability, positive, np.arange(4), bootstrap)
    # bins: two forecasts of 0.01 with half of them true, two of 0.9 with all true
    assert error.value == pytest.approx((2 * 0.49 + 2 * 0.1) / 4)
    squares = metrics.brier(probability, positive, np.arange(4), bootstrap)
    assert squares.value == pytest.approx((0.01**2 + 0.99**2 + 2 * 0.1**2) / 4)
    with pytest.raises(ValueError, match="outside 0 to 1"):
        metrics.calibration_error(probability + 0.2, positive, np.arange(4), bootstrap)


def test_forecasts_that_come_true_as_often_as_they_say_have_no_calibration_error():
    random = np.random.default_rng(0)
    probability = random.beta(0.5, 4.0, 40000)
    positive = random.uniform(size=40000) < probability
    episode = np.repeat(np.arange(400), 100)
    for equal_mass in (False, True):
        error = metrics.calibration_error(
            probability, positive, episode, EpisodeBootstrap(400, 50), equal_mass
        )
        assert error.value < 0.01
        diagram = metrics.reliability(probability, positive, equal_mass)
        filled = diagram.count > 200
        np.testing.assert_allclose(diagram.forecast[filled], diagram.observed[filled], atol=0.08)
        assert diagram.count.sum() == 40000


def test_curves_are_padded_with_their_last_value_and_cut():
    score = np.array([1.0, 2.0, 3.0, 7.0])
    curves = metrics.pad_curves(score, np.array([0, 3]), np.array([3, 1]))
    assert curves.tolist() == [[1, 2, 3], [7, 7, 7]]
    assert metrics.pad_curves(score, np.array([0, 3]), np.array([3, 1]), 2).tolist() == [
        [1, 2],
        [7, 7],
    ]
    with pytest.raises(ValueError, match="episode 1 has no step"):
        metrics.pad_curves(score, np.array([0, 3]), np.array([3, 0]))


def test_alarms_are_counted_by_their_beginnings():
    alarm = np.array([1, 1, 0, 1, 0, 0, 0, 1], bool)
    start, length = np.array([0, 4, 6]), np.array([4, 2, 2])
    assert metrics.first_alarm(alarm, start, length).tolist() == [0, -1, 1]
    assert metrics.rising_edges(alarm, start, length).tolist() == [2, 0, 1]


def test_without_the_cut_at_t_min_length_alone_tells_the_outcome():
    length = np.array([20, 30, 25, 60, 60, 60])
    failed = np.array([0, 0, 0, 1, 1, 1], bool)
    episode = np.repeat(np.arange(6), length)
    step = np.concatenate([np.arange(n) for n in length])
    bootstrap = EpisodeBootstrap(6, 50)
    everyone = np.ones(6, bool)
    clock = step / 60.0
    uncut = metrics.episode_auroc(clock, episode, step, length, failed, everyone, bootstrap)
    assert uncut.value == 1.0
    limit = metrics.shortest(length, np.array(["task"] * 6), everyone)
    assert limit.tolist() == [20] * 6
    cut = metrics.episode_auroc(clock, episode, step, limit, failed, everyone, bootstrap)
    assert cut.value == 0.5


def test_t_min_is_of_each_task_and_of_those_that_count():
    length = np.array([20, 30, 5, 60])
    task = np.array(["a", "b", "a", "b"], object)
    counts = np.array([True, True, False, True])
    assert metrics.shortest(length, task, counts).tolist() == [20, 30, 20, 30]


def test_episode_figures_of_alarms_by_hand():
    first = np.array([10, -1, 50, 3, -1, -1])
    onset = np.array([40, 30, 50, -1, -1, -1])
    failed = np.array([1, 1, 1, 0, 0, 0], bool)
    figures = metrics.alarm_figures(first, onset, failed, ~failed, EpisodeBootstrap(6, 100))
    assert figures.recall.value == pytest.approx(1 / 3)  # an alarm at the onset comes too late
    assert figures.false_alarm_rate.value == pytest.approx(1 / 3)
    assert figures.balanced_accuracy.value == pytest.approx(0.5)
    assert figures.detection_time.value == pytest.approx((10 / 40 + 1 + 1) / 3)


def test_event_figures_by_hand():
    length = np.array([100, 100, 100, 100, 108])
    start = np.cumsum(length) - length
    onset = np.array([95, 80, 50, 90, -1])
    failed = np.array([1, 1, 1, 1, 0], bool)
    alarm = np.zeros(length.sum(), bool)
    alarm[start[0] + 80 : start[0] + 100] = True  # 15 steps ahead: 0.5 s
    alarm[start[1] + 75] = True  # 5 steps ahead: too late
    alarm[start[3] + 20] = True  # 70 steps ahead: recalled, but long before
    alarm[start[4] + np.array([10, 11, 40])] = True  # two false alarms
    figures = metrics.event_figures(
        alarm, start, length, onset, failed, ~failed, PERIOD, EpisodeBootstrap(5, 200)
    )
    assert figures.onsets == 4
    assert figures.recall.value == pytest.approx(2 / 4)
    assert figures.recent_recall.value == pytest.approx(1 / 4)
    np.testing.assert_allclose(sorted(figures.leads), [15 * PERIOD, 70 * PERIOD])
    assert figures.lead_median.value == pytest.approx(15 * PERIOD)
    assert figures.false_alarms_per_hour.value == pytest.approx(2 / (108 * PERIOD / 3600))


def test_an_alarm_exactly_200_ms_ahead_counts():
    alarm = np.zeros(30, bool)
    alarm[14] = True
    one = np.array([True])
    for onset, recalled in ((20, 1.0), (19, 0.0)):
        figures = metrics.event_figures(
            alarm, np.array([0]), np.array([30]), np.array([onset]), one, ~one, PERIOD,
            EpisodeBootstrap(1, 10),
        )  # fmt: skip
        assert figures.recall.value == recalled


def test_an_onset_after_the_last_row_does_not_read_the_next_episode():
    alarm = np.zeros(60, bool)
    alarm[32] = True
    failed = np.array([True, False])
    figures = metrics.event_figures(
        alarm, np.array([0, 30]), np.array([30, 30]), np.array([40, -1]), failed, ~failed, PERIOD,
        EpisodeBootstrap(2, 10),
    )  # fmt: skip
    assert figures.recent_recall.value == 0.0
