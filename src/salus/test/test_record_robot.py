# SPDX-License-Identifier: Apache-2.0
"""Episodes of a robot that knows standard messages only: begun, ended and labelled by hand."""

import signal
import time

import numpy as np
import pytest
import rclpy
import yaml
from foreign_robot import JOINTS, PARAMETERS, TOPICS, ForeignRobot, policy_for, start_monitor
from rclpy.executors import SingleThreadedExecutor
from salus_msgs.msg import RecorderStatus, SignalInfo
from sensor_msgs.msg import Joy
from std_msgs.msg import String
from std_srvs.srv import Trigger

from salus_core.commands.label import main as label
from salus_core.commands.verify import main as verify
from salus_core.episode_store import open_run
from salus_core.failures import Outcome
from salus_ros import qos

pytestmark = pytest.mark.ros

CELL = {
    **PARAMETERS,
    "/**/recorder": {
        "required": ["joint_states", "tool_pose", "vla_signals", "command"],
        "cameras": ["overhead"],
        "camera_topics": ["overhead=/cell/overhead/rgb"],
        "image_height": 12,
        "image_width": 12,
        "image_fit": "crop",
        "image_reliability": "best_effort",
        "joint_names": [*JOINTS, "jaw"],
        "stamp_tolerance": 0.04,
        "input_wait": 0.5,
        "end_grace": 1.0,
    },
    "/**/episode_label": {"joy_buttons": ["0=begin stack them", "1=success", "2=fail spill 0.5"]},
}
TYPES = {"failure_types": {"spill": "liquid left its vessel"}}


class Operator:
    """Sends commands, and sees what the recorder says."""

    def __init__(self, context):
        self.node = rclpy.create_node("operator", namespace="salus", context=context)
        self.executor = SingleThreadedExecutor(context=context)
        self.executor.add_node(self.node)
        self._command = self.node.create_publisher(String, "episode_command", 10)
        self._joy = self.node.create_publisher(Joy, "joy", 10)
        self.recorder = RecorderStatus()
        self.policy_is_active = False
        self.node.create_subscription(SignalInfo, "signal_info", self._on_info, qos.LATCHED)
        self.node.create_subscription(
            RecorderStatus, "recorder_status", self._on_status, qos.LATCHED
        )

    @property
    def is_recorded(self):
        return self.recorder.state == RecorderStatus.STATE_READY

    def _on_info(self, info):
        self.policy_is_active = True

    def _on_status(self, status):
        self.recorder = status

    def say(self, text):
        self._command.publish(String(data=text))

    def press(self, button):
        for value in (1, 0):
            self._joy.publish(Joy(buttons=[value if n == button else 0 for n in range(4)]))

    def call(self, word):
        client = self.node.create_client(Trigger, f"episode_label/{word}")
        assert client.wait_for_service(20.0)
        asked = client.call_async(Trigger.Request())
        self.wait_for(asked.done)
        return asked.result()

    def wait_for(self, condition, seconds=30.0):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, self.recorder
            self.executor.spin_once(0.05)

    def watch(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.executor.spin_once(0.05)

    def wait_for_episodes(self, count):
        self.wait_for(lambda: self.recorder.episodes == count)


@pytest.fixture(scope="module")
def recorded(ros2, tmp_path_factory):
    """Three episodes and one undone, as a person makes them; the run and what was said."""
    folder = tmp_path_factory.mktemp("robot")
    (folder / "types.yaml").write_text(yaml.safe_dump(TYPES))
    process, log = start_monitor(
        ros2,
        folder,
        CELL,
        *("policy:=numpy_backend:NumpyBackend", "instruction:=sort", "record:=true"),
        f"checkpoint:={policy_for(6, folder / 'policy')}",
        f"output:={folder / 'runs'}",
        f"failure_types:={folder / 'types.yaml'}",
        *TOPICS,
    )
    context = rclpy.Context()
    rclpy.init(args=[], context=context)
    robot, operator = ForeignRobot(context), Operator(context)
    answers = []
    try:
        operator.wait_for(lambda: operator.policy_is_active and operator.is_recorded, 120)
        answers.append(operator.call("success"))
        operator.say("begin")
        operator.watch(3.0)
        answers.append(operator.call("begin"))
        operator.say("success")
        operator.wait_for_episodes(1)
        operator.press(0)
        operator.watch(3.0)
        operator.press(2)
        operator.wait_for_episodes(2)
        answers.append(operator.call("begin"))
        operator.watch(2.0)
        answers.append(operator.call("fail"))
        operator.wait_for_episodes(3)
        answers.append(operator.call("undo"))
    finally:
        robot.close()
        process.send_signal(signal.SIGINT)
        process.wait(60)
        operator.node.destroy_node()
        rclpy.try_shutdown(context=context)
    (run,) = (folder / "runs").iterdir()
    return run, answers, log.read_text()


def test_episodes_have_the_outcomes_that_a_person_gave(recorded):
    run, answers, log = recorded
    episodes = list(open_run(run))
    told = [(e.outcome, e.failure_name, e.instruction) for e in episodes]
    assert told[0] == (Outcome.SUCCEEDED, "", "sort"), log[-3000:]
    assert told[1] == (Outcome.FAILED, "spill", "stack them")
    assert told[2] == (Outcome.ABORTED, "", "sort")  # undone
    period = open_run(run).control_period
    # On a busy machine the robot's own images come at less than their rate.
    assert 1 <= episodes[1].length - episodes[1].onset_step <= 0.5 / period + 4
    assert [answer.success for answer in answers] == [False, False, True, True, True]
    assert "begin one first" in answers[0].message
    assert "runs: end it first" in answers[1].message
    assert "counts as aborted" in answers[4].message


def test_no_step_is_lost_and_what_belongs_together_is(recorded):
    run, _, log = recorded
    for episode in open_run(run):
        assert episode.length > 10
        np.testing.assert_array_equal(episode["step"], np.arange(episode.length))
        # On a busy machine a command may be late or dropped: then the step is a gap, and counted.
        assert episode.gaps == np.count_nonzero(~episode["complete"])
        whole = episode["complete"]
        assert whole.sum() > 5, log[-3000:]
        state = episode["state"][whole]
        assert np.isfinite(state[:, : len(JOINTS)]).all()
        assert episode.images("overhead").shape[1:] == (12, 12, 3)
        assert np.isfinite(episode["signals"][episode["signals_valid"].astype(bool)]).all()


def test_the_run_is_whole_and_can_be_labelled_anew(recorded, capsys):
    run, _, _ = recorded
    assert verify([str(run)]) == 0
    arguments = ["--outcome", "failed", "--failure", "spill", "--before-end", "1"]
    assert label([str(run), "--episode", "2", *arguments]) == 0
    assert "spill at step" in capsys.readouterr().out
    assert open_run(run)[2].failure_name == "spill"
