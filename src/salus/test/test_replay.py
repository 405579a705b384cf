# SPDX-License-Identifier: Apache-2.0
"""A recorded bag, played into the predictor."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from salus_msgs.msg import FailureForecast
from std_srvs.srv import Trigger

pytestmark = pytest.mark.ros

GOLDEN = Path(__file__).resolve().parents[3] / "src/salus_predictor_node/test/golden"


class Listener:
    """Hears what the predictor says and what is played of the recording."""

    def __init__(self):
        rclpy.init(args=[])
        self.node = rclpy.create_node("listener")
        self.live, self.recorded, self.times = {}, {}, []
        subscribe = self.node.create_subscription
        subscribe(FailureForecast, "/salus/failure_forecast", self._on_live, 100)
        subscribe(FailureForecast, "/salus/recorded/failure_forecast", self._on_recorded, 100)
        self._pause = self.node.create_client(Trigger, "/rosbag2_player/pause")
        self._resume = self.node.create_client(Trigger, "/rosbag2_player/resume")
        self.pause_at, self.silence = None, 0.0
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _on_live(self, message):
        if len(message.probabilities):
            self.times.append(time.monotonic())
            self.live[message.episode, message.step] = np.array(message.probabilities)
            if self.pause_at == len(self.live):
                self._pause.call_async(Trigger.Request())

    def _on_recorded(self, message):
        self.recorded[message.episode, message.step] = np.array(message.probabilities)

    def _spin(self):
        while not self._done.is_set():
            self.executor.spin_once(timeout_sec=0.05)
            if self.pause_at and len(self.live) >= self.pause_at and self.times:
                quiet = time.monotonic() - self.times[-1]
                if quiet > 2.0:
                    self.silence, self.pause_at = quiet, None
                    self._resume.call_async(Trigger.Request())

    def close(self):
        self._done.set()
        self._thread.join()
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown()


@pytest.fixture
def listener(ros2):
    listener = Listener()
    yield listener
    listener.close()


def replay(launch, *arguments):
    return launch(
        "replay.launch.py",
        f"bag:={GOLDEN / 'bag'}",
        f"predictor:={GOLDEN / 'checkpoint'}",
        *arguments,
        timeout=180,
    )


def test_a_played_bag_gives_the_recorded_forecasts_at_its_rate_with_a_pause(launch, listener):
    listener.pause_at = 20
    code, output = replay(launch, "rate:=0.5")
    assert code == 0, output
    assert listener.silence > 2.0, "the player did not pause"
    assert len(listener.recorded) >= 60
    assert sorted(set(listener.recorded) - set(listener.live)) == []
    for key, recorded in listener.recorded.items():
        np.testing.assert_allclose(listener.live[key], recorded, rtol=0, atol=1e-6)
    played = listener.times[-1] - listener.times[0] - listener.silence
    assert played == pytest.approx(2.0 * len(listener.recorded) / 30.0, rel=0.3)


def test_a_rate_that_is_none_is_refused(launch):
    code, output = replay(launch, "rate:=fast")
    assert code == 1
    assert "rate:=fast: must be a number above 0" in output


def test_a_bag_whose_messages_were_defined_otherwise_is_not_played_but_named(launch):
    """Its bytes would be taken for other numbers; offline replay reads it."""
    code, output = launch(
        "replay.launch.py",
        f"bag:={GOLDEN / 'bag_of_0_1'}",
        f"predictor:={GOLDEN / 'checkpoint'}",
        timeout=120,
    )
    told = "vla_signals is not played: the bag defines salus_msgs/msg/VlaSignals in another way"
    assert told in output
    assert "sequence size exceeds" not in output
    assert code == 0
