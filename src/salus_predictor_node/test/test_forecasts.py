# SPDX-License-Identifier: Apache-2.0
"""The node with a checkpoint, over DDS."""

import shutil

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from rig import Rig
from salus_msgs.msg import EpisodeStatus, FailureForecast, SignalInfo

from salus_core.failures import HORIZONS_S
from salus_core.predictors.checkpoint import load_checkpoint
from salus_core.predictors.features import StepInputs
from salus_core.predictors.interface import risk

pytestmark = pytest.mark.ros

OK, WARMING_UP = FailureForecast.STATUS_OK, FailureForecast.STATUS_WARMING_UP
INVALID, STALE = FailureForecast.STATUS_INVALID_INPUT, FailureForecast.STATUS_STALE_INPUT


@pytest.fixture(scope="module")
def folder(checkpoint):
    return checkpoint()


def signal_info(**changes):
    fields = {
        "policy": "made up",
        "policy_hash": "00",
        "schema_hash": "made up",
        "embedding_size": 16,
        "members": 2,
        "control_period": 1 / 30,
    }
    return SignalInfo(**{**fields, **changes})


@pytest.fixture
def rig(ros, folder):
    rig = Rig(checkpoint=str(folder), info_wait=0.0, stale_after=0.0)
    yield rig
    rig.close()


def play(rig, data, rows, **given):
    for row in rows:
        expected = len(rig.forecasts) + 1
        rig.send_step(data, row, **given)
        rig.until(lambda expected=expected: len(rig.forecasts) == expected)


def numbers(forecasts):
    return np.array([forecast.probabilities for forecast in forecasts]).reshape(-1, 4, 4)


def test_live_forecasts_equal_those_of_the_recording(rig, data, folder):
    predictor, _ = load_checkpoint(folder)
    offline = predictor.scores(data)
    rows = [*range(data.rows(0).start, data.rows(0).start + 30)]
    rows += range(data.rows(1).start, data.rows(1).start + 20)
    for episode in (0, 1):
        mine = [row for row in rows if data.episode[row] == episode]
        play(rig, data, mine, episode=7 + episode)
    np.testing.assert_allclose(numbers(rig.forecasts), offline[rows], rtol=0, atol=1e-6)
    context = predictor.network.context
    assert [f.status for f in rig.forecasts[:30]] == [WARMING_UP] * (context - 1) + [OK] * (
        31 - context
    )
    assert rig.forecasts[30].status == WARMING_UP
    for forecast, row in zip(rig.forecasts, rows, strict=True):
        step = int(data.step[row])
        assert (forecast.episode, forecast.step) == (7 + data.episode[row], step)
        assert forecast.score == pytest.approx(risk(offline[row], data.taxonomy.main), abs=1e-6)
        assert forecast.risk == pytest.approx(risk(offline[row]), abs=1e-6)
        assert forecast.band == pytest.approx(float(predictor.band.edge(step)), rel=1e-6)
        assert forecast.alarm == (forecast.score > predictor.band.edge(step))
        kind = offline[row, -1].argmax()
        assert forecast.likeliest_failure == kind + 1
        passing = np.flatnonzero(offline[row, :, kind] > predictor.band.edge(step))
        horizon = HORIZONS_S[passing[0] if passing.size else -1]
        assert forecast.likeliest_horizon == np.float32(horizon)
    assert forecast.header.stamp == Time(sec=1000 * 8 + 19)


def test_what_came_while_the_process_had_to_wait_is_answered_later(rig, data):
    """A world in lockstep does not wait for the predictor; its machine may be busy."""
    rows = range(data.rows(0).start, data.rows(0).start + 40)
    for row in rows:
        rig.send_step(data, row)  # nobody spins
    rig.until(lambda: len(rig.forecasts) == 40)
    assert [forecast.step for forecast in rig.forecasts] == [*range(40)]
    assert {forecast.status for forecast in rig.forecasts} == {OK, WARMING_UP}


def test_an_outlook_is_what_the_alarm_and_the_likeliest_failure_look_at(ros, data, checkpoint):
    folder = checkpoint(network={"core": "gru", "outcome_head": True})
    predictor, _ = load_checkpoint(folder)
    probabilities, score = predictor.forecasts(data)
    rig = Rig(checkpoint=str(folder), info_wait=0.0, stale_after=0.0)
    rows = range(data.rows(0).start, data.rows(0).start + 20)
    play(rig, data, rows)
    np.testing.assert_allclose(numbers(rig.forecasts), probabilities[rows], rtol=0, atol=1e-6)
    stream = predictor.stream()
    for forecast, row in zip(rig.forecasts, rows, strict=True):
        stream.update(StepInputs.of(data, row))
        assert forecast.score == pytest.approx(score[row], abs=1e-6)
        assert forecast.alarm == (forecast.score > predictor.band.edge(int(data.step[row])))
        assert forecast.likeliest_failure == stream.outlook.argmax() + 1
        assert abs(forecast.score - risk(probabilities[row], data.taxonomy.main)) > 0.01
    rig.close()


def test_the_info_names_the_checkpoint_and_its_guarantee(rig, folder):
    predictor, _ = load_checkpoint(folder)
    info = rig.info[0]
    assert (info.predictor, info.predictor_hash) == (str(folder), predictor.hash)
    assert info.failure_names == ["collision", "drop", "missed_grasp", "timeout"]
    assert list(info.failure_types) == [1, 2, 3, 4]
    assert info.alarm_rate == pytest.approx(0.1)
    assert info.calibration_episodes == predictor.band.episodes
    assert info.schema_hash == "made up"


def test_a_step_without_its_body_is_answered_without_numbers_and_in_order(rig, data, folder):
    blank = data.select(np.arange(1))
    blank.proprioception[3] = np.nan
    play(rig, data, range(3))
    rig.send_step(data, 3, body=False)
    rig.pause(0.2)
    assert len(rig.forecasts) == 3
    rig.send_step(data, 4)
    rig.until(lambda: len(rig.forecasts) == 5)
    assert [f.status for f in rig.forecasts[3:]] == [INVALID, WARMING_UP]
    assert len(rig.forecasts[3].probabilities) == 0
    offline = load_checkpoint(folder)[0].scores(blank)
    np.testing.assert_allclose(numbers(rig.forecasts[4:]), offline[4:5], rtol=0, atol=1e-6)


def test_a_body_that_comes_after_the_signals_is_waited_for(rig, data):
    rig.send_step(data, 0, body=False)
    rig.pause(0.2)
    assert not rig.forecasts
    rig.send_step(data, 0, signals=False)
    rig.until(lambda: rig.forecasts)
    assert rig.forecasts[0].status == WARMING_UP


def test_steps_that_never_came_are_passed_as_unknown(rig, data, folder):
    blank = data.select(np.arange(1))
    for name in ("signals", "proprioception", "action", "action_std", "embedding"):
        getattr(blank, name)[20:22] = np.nan
    blank.valid[20:22] = False
    play(rig, data, [*range(20), *range(22, 26)])
    offline = load_checkpoint(folder)[0].scores(blank)
    np.testing.assert_allclose(numbers(rig.forecasts[20:]), offline[22:26], rtol=0, atol=1e-6)


def test_an_episode_that_is_joined_late_has_lost_its_first_steps(rig, data, folder):
    blank = data.select(np.arange(1))
    for name in ("signals", "proprioception", "action", "action_std", "embedding"):
        getattr(blank, name)[:5] = np.nan
    blank.valid[:5] = False
    play(rig, data, range(5, 24))
    predictor, _ = load_checkpoint(folder)
    np.testing.assert_allclose(
        numbers(rig.forecasts), predictor.scores(blank)[5:24], rtol=0, atol=1e-6
    )
    rig.until(lambda: rig.predictor._forecaster.missed == 5)
    context = predictor.network.context
    assert [f.status for f in rig.forecasts] == [WARMING_UP] * (context - 1) + [OK] * (20 - context)


def test_a_memory_without_end_is_passed_every_step_that_it_missed(ros, data, checkpoint):
    folder = checkpoint(network={"core": "gru"})
    predictor, _ = load_checkpoint(folder)
    first, missed = predictor.network.context + 10, predictor.network.context + 5
    blank = data.select(np.arange(1))
    gap = [*range(first), *range(first + 2, first + 2 + missed)]
    for name in ("signals", "proprioception", "action", "action_std", "embedding"):
        getattr(blank, name)[gap] = np.nan
    blank.valid[gap] = False
    rows = [row for row in range(first + missed + 6) if row not in gap]
    assert len(blank) >= rows[-1]
    rig = Rig(checkpoint=str(folder), info_wait=0.0, stale_after=0.0)
    play(rig, data, rows)
    expected = predictor.scores(blank)[rows]
    np.testing.assert_allclose(numbers(rig.forecasts), expected, rtol=0, atol=1e-6)
    rig.close()


def test_signals_that_overtake_the_body_of_older_ones_do_not_cost_these(rig, data):
    for row in (0, 1):
        rig.send_step(data, row, body=False)
    rig.pause(0.2)
    assert not rig.forecasts
    for row in (0, 1):
        rig.send_step(data, row, signals=False)
    rig.until(lambda: len(rig.forecasts) == 2)
    assert [f.status for f in rig.forecasts] == [WARMING_UP, WARMING_UP]


@pytest.mark.parametrize("name", ["action", "action_std", "embedding", "signals"])
def test_what_is_not_finite_is_passed_as_unknown(rig, data, folder, name):
    broken, blank = data.select(np.arange(1)), data.select(np.arange(1))
    getattr(broken, name)[3, 0] = np.inf
    getattr(blank, name)[3] = np.nan
    if name == "signals":
        blank.signals[3], blank.signals[3, 0] = data.signals[3], np.nan
        broken.valid[3, 0], blank.valid[3, 0] = True, False
    play(rig, broken, range(6))
    assert [f.status for f in rig.forecasts] == [WARMING_UP] * 3 + [INVALID] + [WARMING_UP] * 2
    offline = load_checkpoint(folder)[0].scores(blank)
    np.testing.assert_allclose(numbers(rig.forecasts[4:]), offline[4:6], rtol=0, atol=1e-6)


def test_signals_without_the_latent_give_no_numbers(rig, data):
    rig.send_step(data, 0, signals=False)
    rig.send(0)
    rig.until(lambda: rig.forecasts or (rig.pause(0.1) is None and rig.send(1) is None))
    rig.until(lambda: rig.forecasts)
    assert rig.forecasts[0].status == INVALID
    assert rig.forecasts[0].risk == 0.0


def test_a_checkpoint_for_other_signals_refuses_to_configure(ros, folder, capfd):
    rig = Rig(signal_info(schema_hash="another"), checkpoint=str(folder), info_wait=10.0)
    assert not rig.started
    assert "schema_hash is another, trained with made up" in capfd.readouterr().err
    rig.close()


def test_a_policy_that_does_not_fit_and_appears_later_stops_forecasts(rig, data):
    play(rig, data, [0])
    rig.signal_info.publish(signal_info(policy_hash="ff"))
    rig.until(lambda: b"policy_hash is ff" in rig.predictor.diagnostics.status().message.encode())
    play(rig, data, [1])
    rig.signal_info.publish(signal_info())
    rig.until(lambda: rig.predictor.diagnostics.status().message == "running")
    play(rig, data, [2])
    assert [f.status for f in rig.forecasts] == [WARMING_UP, INVALID, WARMING_UP]


def test_signals_that_stop_within_an_episode_are_reported_once(ros, data, folder):
    rig = Rig(checkpoint=str(folder), info_wait=0.0, stale_after=0.3)
    rig.episode.publish(EpisodeStatus(episode=1, state=EpisodeStatus.STATE_RUNNING))
    play(rig, data, range(2))
    rig.until(lambda: len(rig.forecasts) == 3)
    rig.pause(0.6)
    assert [f.status for f in rig.forecasts] == [WARMING_UP, WARMING_UP, STALE]
    assert rig.forecasts[2].step == 1
    assert len(rig.forecasts[2].probabilities) == 0
    play(rig, data, [2])
    rig.episode.publish(EpisodeStatus(episode=1, step=3, state=EpisodeStatus.STATE_SUCCEEDED))
    rig.pause(0.6)
    assert len(rig.forecasts) == 4
    rig.close()


def test_a_checkpoint_is_exchanged_while_running(ros, data, checkpoint, tmp_path):
    rig = Rig(stale_after=0.0)
    play(rig, data, [0])
    assert rig.forecasts[0].status == FailureForecast.STATUS_NO_CHECKPOINT
    loaded = rig.load(folder := checkpoint("mlp"))
    assert loaded.success
    assert loaded.hash == load_checkpoint(folder)[0].hash
    rig.until(lambda: rig.info[-1].predictor == str(folder))
    play(rig, data, [1], body=False)  # mlp does not read it
    assert rig.forecasts[1].status == OK
    refused = rig.load(checkpoint("safe_mlp"))
    assert not refused.success
    assert "gives a risk without failure types" in refused.message
    assert refused.hash == loaded.hash
    rig.signal_info.publish(signal_info(schema_hash="another"))
    rig.until(lambda: "another" in rig.predictor.diagnostics.status().message)
    refused = rig.load(checkpoint())
    assert not refused.success
    assert "schema_hash is another" in refused.message
    rig.close()


def test_only_checkpoints_beneath_the_named_folders_are_loaded(ros, checkpoint, tmp_path):
    inside, outside = tmp_path / "inside", checkpoint()
    inside.mkdir()
    shutil.copytree(outside, inside / "good")
    (inside / "link").symlink_to(outside)
    shutil.copytree(outside, inside / "file")
    (inside / "file" / "weights.safetensors").unlink()
    (inside / "file" / "weights.safetensors").symlink_to(outside / "weights.safetensors")
    rig = Rig(checkpoint_folders=[str(inside)])
    for refused in (outside, inside / "link", inside / "file", inside / ".." / "elsewhere"):
        answer = rig.load(refused)
        assert not answer.success
        assert "is not beneath the folders of checkpoint_folders" in answer.message
        assert "\n" not in answer.message
    for refused in ("", "a\nb", "x" * 2000):
        assert "is no path of a predictor checkpoint" in rig.load(refused).message
    assert rig.load(inside / "good").success
    assert rig.load("default").success  # ships with the package
    rig.close()


def test_without_named_folders_only_neighbours_of_the_first_checkpoint_are_loaded(
    ros, checkpoint, tmp_path
):
    for name in ("first", "second"):
        shutil.copytree(checkpoint(), tmp_path / "mine" / name)
    rig = Rig(checkpoint=str(tmp_path / "mine" / "first"), checkpoint_folders=[""])
    assert rig.load(tmp_path / "mine" / "second").success
    assert "is not beneath" in rig.load(checkpoint()).message
    rig.close()


def test_a_number_that_is_not_finite_is_never_sent_as_a_forecast(ros, data, folder):
    rig = Rig(checkpoint=str(folder), stale_after=0.0)
    # What no check at loading foresees: memory that fails, or a network that overflows later.
    rig.predictor._forecaster._stream._stepper._last[0][:] = np.nan
    play(rig, data, range(3))
    assert [f.status for f in rig.forecasts] == [INVALID] * 3
    assert all(len(f.probabilities) == 0 and f.score == 0.0 for f in rig.forecasts)
    assert not any(f.alarm for f in rig.forecasts)
    rig.close()
