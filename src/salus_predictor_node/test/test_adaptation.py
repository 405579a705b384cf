# SPDX-License-Identifier: Apache-2.0
"""Labelled outcomes move the alarm's threshold: by hand, and live over DDS."""

import json

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from rig import Rig
from salus_msgs.msg import EpisodeStatus, Intervention
from std_msgs.msg import Header

from salus_core.failures import Outcome
from salus_core.predictors.checkpoint import load_checkpoint
from salus_core.runtime.types import Forecast
from salus_predictor_node.adaptation import Adaptation, AdaptationError
from salus_ros.qos import RELIABLE


@pytest.fixture
def folder(checkpoint):
    return checkpoint()


@pytest.fixture
def predictor(folder):
    found, _ = load_checkpoint(folder)
    return found


def alarming(yes):
    return Forecast("ok", np.zeros((4, 4)), 0.0, 9.0 if yes else -9.0, 1.0, yes, 1, 0.5)


def follow(adaptation, outcomes, first=0):
    for position, (outcome, alarm) in enumerate(outcomes, first):
        adaptation.forecast(position, 0, alarming(alarm))
        adaptation.ended(position, outcome)


def test_only_labelled_successes_without_intervention_count_and_each_once(predictor, tmp_path):
    adaptation = Adaptation(predictor, "outcomes", tmp_path)
    adaptation.ended(7, Outcome.SUCCEEDED)  # latched, of before this node began: nothing was seen
    follow(adaptation, [(Outcome.FAILED, True), (Outcome.ABORTED, True), (Outcome.RUNNING, True)])
    adaptation.intervened(3)
    follow(adaptation, [(Outcome.SUCCEEDED, True)], first=3)
    assert adaptation.adaptive.successes == 0
    follow(adaptation, [(Outcome.SUCCEEDED, True)], first=4)
    adaptation.ended(4, Outcome.SUCCEEDED)
    assert (adaptation.adaptive.successes, adaptation.adaptive.false_alarms) == (1, 1)
    assert predictor.band.alpha < adaptation.adaptive.promised


def test_a_restart_goes_on_and_off_is_the_checkpoints_own(folder, tmp_path):
    first, _ = load_checkpoint(folder)
    own = first.band.alpha
    follow(Adaptation(first, "outcomes", tmp_path), [(Outcome.SUCCEEDED, True)])
    again, _ = load_checkpoint(folder)
    adaptation = Adaptation(again, "outcomes", tmp_path)
    assert again.band.alpha == first.band.alpha < own
    adaptation.mode("never")
    assert again.band.alpha == own
    adaptation.mode("frozen")
    follow(adaptation, [(Outcome.SUCCEEDED, False)])
    assert again.band.alpha == first.band.alpha


def test_a_damaged_file_is_named_and_left_alone(predictor, tmp_path):
    path = tmp_path / f"{predictor.hash[:16]}.json"
    path.write_text("{")
    with pytest.raises(AdaptationError, match=str(path)):
        Adaptation(predictor, "outcomes", tmp_path)
    assert path.read_text() == "{"
    Adaptation(predictor, "never", tmp_path)


def test_a_broken_promise_is_said_once(predictor, tmp_path):
    adaptation = Adaptation(predictor, "outcomes", tmp_path)
    said = []
    for position in range(30):
        adaptation.forecast(position, 0, alarming(True))
        said.append(adaptation.ended(position, Outcome.SUCCEEDED))
    assert [bool(one) for one in said].count(True) == 1
    assert "salus calibrate" in next(one for one in said if one)


@pytest.mark.ros
def test_live_outcomes_change_the_threshold_and_are_kept(ros, folder, data, tmp_path):
    rig = Rig(checkpoint=str(folder), adapt="outcomes", adapt_folder=str(tmp_path))
    intervention = rig.node.create_publisher(Intervention, "intervention", RELIABLE)
    try:
        rig.until(intervention.get_subscription_count, 10.0)
        promised = rig.info[-1].alarm_rate
        bands = []
        for number, hold in ((1, False), (2, True), (3, False)):
            row = data.rows(0).start
            rig.send_step(data, row, episode=number)
            rig.until(lambda n=number: len(rig.forecasts) == n)
            bands.append(rig.forecasts[-1].band)
            header = Header(stamp=Time(sec=1000 * number))
            if hold:
                intervention.publish(
                    Intervention(
                        header=header,
                        episode=number,
                        kind=Intervention.KIND_HOLD,
                        reason="too fast",
                    )
                )
                rig.pause(0.3)
            rig.episode.publish(
                EpisodeStatus(header=header, episode=number, state=int(Outcome.SUCCEEDED), step=1)
            )
            rig.pause(0.3)
        (path,) = tmp_path.iterdir()
        assert json.loads(path.read_text())["successes"] == 2
        assert bands[1] <= bands[0]  # a success without an alarm allows a little more
        assert bands[2] == bands[1]
        # What is promised stays, whatever the threshold is made for.
        assert rig.load(str(folder)).success
        rig.until(lambda: len(rig.info) == 2)
        assert rig.info[-1].alarm_rate == promised == pytest.approx(0.1)
    finally:
        rig.close()
