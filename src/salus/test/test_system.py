# SPDX-License-Identifier: Apache-2.0
"""The whole suite, launched as a user does, judged by what it leaves on disk."""

import re
from dataclasses import dataclass

import numpy as np
import pytest
from salus_msgs.msg import FailureForecast, Intervention

from salus_core.episode_store import NO_MESSAGE, open_run
from salus_core.failures import HORIZONS_S, Outcome

pytestmark = pytest.mark.ros

SEED, EPISODES = 5, 2


@dataclass
class Setting:
    """One way to run the suite; every test below holds in each."""

    arguments: tuple[str, ...]
    lockstep: bool
    forecasts: bool


SETTINGS = {
    "lockstep": Setting(("difficulty:=easy",), True, True),
    "real-time-in-another-namespace": Setting(
        (
            "lockstep:=false",
            "namespace:=lab/robot1",
            "clock:=clock",
            "faults:=heavy",
            "predictor:=none",
        ),
        False,
        False,
    ),
}


def collect(launch, folder, *arguments):
    code, output = launch(
        "collect.launch.py",
        f"episodes:={EPISODES}",
        f"seed:={SEED}",
        f"output:={folder}",
        *arguments,
    )
    assert code == 0, output[-6000:]
    (run,) = folder.iterdir()
    return open_run(run), output


@pytest.fixture(scope="module", params=SETTINGS)
def collected(request, launch, tmp_path_factory):
    setting = SETTINGS[request.param]
    run, output = collect(launch, tmp_path_factory.mktemp("runs"), *setting.arguments)
    return setting, run, output


def test_every_episode_is_committed_with_its_outcome(collected):
    setting, run, _ = collected
    assert [episode.seed for episode in run] == [SEED, SEED + 1]
    for episode in run:
        assert episode.length > 0
        assert episode.instruction
        assert episode.lockstep == setting.lockstep
        assert episode.outcome in (Outcome.SUCCEEDED, Outcome.FAILED)
        if episode.outcome == Outcome.FAILED:
            assert 0 <= episode.onset_step <= episode.length
            assert episode.failure_name
        assert not episode.intervened  # a late proposal is none: a missed command


def test_the_summary_tells_what_the_run_holds(collected):
    _, run, output = collected
    assert len(re.findall(r"episode \d/2 ", output)) == EPISODES
    assert re.search(rf"episodes +{EPISODES}\b", output)
    assert str(run.path) in output


def test_steps_are_numbered_and_stamped_without_a_break(collected):
    _, run, _ = collected
    for episode in run:
        np.testing.assert_array_equal(episode["step"], np.arange(episode.length))
        stamps, steps = episode["timestamp"], np.arange(episode.length)
        seen = np.isfinite(stamps)  # a gap in real time may lack the whole observation
        assert seen[episode["complete"]].all()
        assert stamps[seen][0] > 0
        starts = stamps[seen] - steps[seen] / 30
        np.testing.assert_allclose(starts, starts[0], atol=1e-6)


def test_nothing_is_missing_in_lockstep_and_gaps_are_counted_otherwise(collected):
    setting, run, _ = collected
    for episode in run:
        assert episode.gaps == np.count_nonzero(~episode["complete"])
        if setting.lockstep:
            assert (episode.gaps, episode.commands_missed) == (0, 0)
        else:
            assert episode.gaps < episode.length  # how many depends on what else the machine does


def test_what_is_proposed_is_executed(collected):
    _, run, _ = collected
    for episode in run:
        complete = episode["complete"]
        np.testing.assert_array_equal(episode["action"][complete], episode["command"][complete])
        assert set(episode["intervention"]) <= {Intervention.KIND_PASS, NO_MESSAGE}


def test_the_shipped_predictor_forecasts_unless_it_is_turned_off(collected):
    setting, run, _ = collected
    for episode in run:
        status, forecast = episode["forecast_status"], episode["forecast"]
        if not setting.forecasts:
            assert set(status) <= {FailureForecast.STATUS_NO_CHECKPOINT, NO_MESSAGE}
            assert FailureForecast.STATUS_NO_CHECKPOINT in status
            assert np.isnan(forecast).all()
            continue
        assert set(status[:14]) == {FailureForecast.STATUS_WARMING_UP}
        assert set(status[14:]) == {FailureForecast.STATUS_OK}
        assert ((forecast >= 0.0) & (forecast <= 1.0)).all()
        by_horizon = forecast.reshape(episode.length, len(HORIZONS_S), -1)
        assert (np.diff(by_horizon, axis=1) >= 0.0).all()


def test_signals_are_finite_where_valid(collected):
    setting, run, _ = collected
    for episode in run:
        valid = episode["signals_valid"].astype(bool)
        assert np.isfinite(episode["signals"][valid]).all()
        if setting.lockstep:  # else a lost step breaks the windows of those after it
            # After a window of ten steps the policy gives every signal that it said it can give.
            late = episode["step"] > 10
            assert (valid[late] == np.array(run.attributes["signal_available"])).all()


def test_every_camera_shows_a_moving_scene(collected):
    _, run, _ = collected
    assert set(run.cameras) == {"front", "side", "wrist"}
    episode = run[0]
    for camera in run.cameras:
        images = episode.images(camera)
        assert images.shape == (episode.length, 256, 256, 3)
        assert images[0].std() > 10
        assert (images[0] != images[-1]).any()


def test_the_same_seeds_give_the_same_episodes(launch, tmp_path):
    """Twice on the same machine, whatever the timing: bit for bit."""
    first, second = (
        collect(launch, tmp_path / name, *SETTINGS["lockstep"].arguments)[0] for name in "ab"
    )
    for one, other in zip(first, second, strict=True):
        assert (one.commands_missed, other.commands_missed) == (0, 0)
        assert (one.outcome, one.failure, one.onset_step) == (
            other.outcome,
            other.failure,
            other.onset_step,
        )
        for key in ("action", "command", "state", "object_pose", "signals", "embedding"):
            np.testing.assert_array_equal(one[key], other[key], err_msg=key)
        np.testing.assert_array_equal(one.images("front", -1), other.images("front", -1))
