# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys
import time

import pytest
from builtin_interfaces.msg import Time
from rig import Rig
from salus_msgs.msg import EpisodeStatus, FailureForecast, ForecastInfo

from salus_predictor_node import checkpoints
from salus_ros.qos import LATCHED

pytestmark = pytest.mark.ros


@pytest.fixture
def rig(ros):
    rig = Rig()
    yield rig
    rig.close()


def test_without_a_checkpoint_each_step_is_answered_with_the_status_and_without_numbers(rig):
    for step in (0, 1, 1, 2):
        rig.send(step)
    rig.until(lambda: len(rig.forecasts) == 3)
    for step, forecast in enumerate(rig.forecasts):
        assert (forecast.episode, forecast.step) == (4, step)
        assert forecast.header.stamp == Time(sec=1 + step)
        assert forecast.status == FailureForecast.STATUS_NO_CHECKPOINT
        assert len(forecast.probabilities) == 0
        assert (forecast.risk, forecast.score, forecast.band) == (0.0, 0.0, 0.0)
        assert forecast.likeliest_failure == EpisodeStatus.FAILURE_NONE
        assert not forecast.alarm
        assert 0.0 <= forecast.latency < 1.0


def test_the_info_names_no_predictor_also_for_who_comes_late(rig):
    assert rig.info[0].predictor == ""
    late = []
    rig.node.create_subscription(ForecastInfo, "forecast_info", late.append, LATCHED)
    rig.until(lambda: late)


@pytest.mark.parametrize(
    ("checkpoint", "message"), [("/nowhere", "not found"), ("/tmp", "is no predictor checkpoint")]
)
def test_the_service_refuses_honestly(rig, checkpoint, message):
    answer = rig.load(checkpoint)
    assert not answer.success
    assert message in answer.message
    assert answer.hash == ""


def test_an_inactive_predictor_answers_nothing(rig):
    rig.predictor.trigger_deactivate()
    rig.send(0)
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        rig.executor.spin_once(timeout_sec=0.02)
    assert not rig.forecasts


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ("checkpoint:=/nowhere", "predictor checkpoint '/nowhere' not found"),
        ("chekpoint:=x", "unknown parameter 'chekpoint' for node 'predictor'"),
    ],
)
def test_a_bad_parameter_ends_the_process_with_a_reason_and_code_1(parameter, message):
    command = [sys.executable, "-m", "salus_predictor_node.predictor_node", "--ros-args", "-p"]
    done = subprocess.run(
        [*command, parameter], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stderr.count(message) == 1


def test_a_checkpoint_that_ships_with_the_package_is_found_by_name(
    checkpoint, monkeypatch, tmp_path
):
    folder = checkpoint("mvp")
    monkeypatch.setattr(checkpoints, "WEIGHTS", tmp_path)
    (tmp_path / "default").symlink_to(folder)
    assert checkpoints.open_checkpoint("default").name == "mvp"
    with pytest.raises(checkpoints.CheckpointError, match="'another' not found"):
        checkpoints.open_checkpoint("another")
