# SPDX-License-Identifier: Apache-2.0
"""Interventions over topics: every input by message, and what garbage leads to."""

import math

import numpy as np
import pytest
import yaml
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from salus_msgs.msg import (
    FailureForecast,
    ForecastInfo,
    HelpRequest,
    Intervention,
    SceneEstimate,
    VlaSignals,
)
from sensor_msgs.msg import JointState
from std_msgs.msg import Header
from std_srvs.srv import Trigger
from supervisor_rig import ACTION, Rig

from salus_core.failures import FAILURE_NAMES, HORIZONS_S
from salus_ros.qos import LATCHED, RELIABLE
from salus_supervisor.supervisor_node import SupervisorNode

pytestmark = pytest.mark.ros

CLOSED = [0.01, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
CARRIED = {
    "goal.x": 0.3, "goal.y": 0.0, "near_goal.x": 0.3, "near_goal.y": 0.0, "grasped": 1.0,
    "obstacle.present": 1.0, "obstacle.x": 0.12, "obstacle.y": 0.0, "obstacle.top": 0.10,
    "target.half_size": 0.02, "held.z": 0.0,
}  # fmt: skip


class ActingRig(Rig):
    """Plays the predictor, the perception and the robot's body, too."""

    def __init__(self, table, **given):
        given = {"mode": "intervene", "without_forecast": "hold", **given}
        super().__init__(interventions=str(table), gripper_joints=["left", "right"], **given)
        publish = self.node.create_publisher
        self.infos = publish(ForecastInfo, "forecast_info", LATCHED)
        self.infos.publish(
            ForecastInfo(failure_names=list(FAILURE_NAMES), horizons=list(HORIZONS_S))
        )
        self.poses = publish(PoseStamped, "tool_pose", qos_profile_sensor_data)
        self.scenes = publish(SceneEstimate, "scene_estimate", RELIABLE)
        self.requests = []
        self.node.create_subscription(HelpRequest, "help_request", self.requests.append, LATCHED)
        for publisher in (self.poses, self.scenes, self.infos, self.joints):
            self.until(lambda one=publisher: one.get_subscription_count() > 0)
        self.settle()

    def step(self, number, action=CLOSED, outcome=(0.9, 0, 0, 0), alarm=True, scene=None, **wrong):
        """Publish everything of a step, the signals last but for the forecast."""
        passed = 10**9 + round(number * 1e9 / 30)
        stamp = Time(sec=passed // 10**9, nanosec=passed % 10**9)
        header = Header(stamp=stamp, frame_id="base")
        pose = PoseStamped(header=header)
        pose.pose.position.x, pose.pose.position.z = 0.4, wrong.get("height", 0.05)
        self.poses.publish(pose)
        joints = JointState(header=header, name=["left", "right"], position=[0.02, 0.02])
        self.joints.publish(joints)
        scene = CARRIED if scene is None else scene
        estimate = SceneEstimate(header=header, episode=1, step=number, source="test")
        estimate.names = list(scene)
        estimate.values = [float(value) for value in scene.values()][: wrong.get("values")]
        self.scenes.publish(estimate)
        before = len(self.interventions)
        signals = VlaSignals(header=header, episode=1, step=number, action=action)
        self.signals.publish(signals)
        forecast = FailureForecast(
            header=header,
            episode=1,
            step=number,
            probabilities=[0.0] * 16,
            outcome_probabilities=list(outcome),
            likeliest_failure=1,
            alarm=alarm,
        )
        self.forecasts.publish(forecast)
        self.until(lambda: len(self.interventions) > before, 10.0)
        return self.interventions[-1]

    def call(self, name):
        client = self.node.create_client(Trigger, f"supervisor/{name}")
        self.until(client.service_is_ready)
        future = client.call_async(Trigger.Request())
        self.until(future.done)
        return future.result()


@pytest.fixture
def acting(rig_of, tmp_path):
    """A rig with a table, in a running episode."""

    def make(manoeuvres, when=None, **given):
        path = tmp_path / "table.yaml"
        rule = {"when": when or {"outcome_above": 0.3, "steps": 2}, "manoeuvres": manoeuvres}
        path.write_text(yaml.safe_dump({"rules": {"collision": rule}}))
        rig = rig_of(ActingRig, table=path, **given)
        rig.begin(1)
        return rig

    return make


def test_a_manoeuvre_begins_when_the_forecast_has_persisted(acting):
    rig = acting(["carry"])
    assert rig.step(0).kind == Intervention.KIND_PASS
    found = rig.step(1)
    assert (found.kind, found.manoeuvre) == (Intervention.KIND_RECOVER, "carry")
    assert "collision" in found.reason
    assert list(found.proposed) == CLOSED
    assert found.executed[2] > 0.005
    assert found.executed[6] == 0.0
    assert list(rig.commands[-1].action) == list(found.executed)


def test_observing_says_what_it_would_do_and_passes_the_action_on(acting):
    rig = acting(["carry"], mode="observe", without_forecast="")
    rig.step(0)
    found = [rig.step(1), rig.step(2)][-1]
    assert (found.kind, found.manoeuvre) == (Intervention.KIND_PASS, "carry")
    assert list(rig.commands[-1].action) == CLOSED


@pytest.mark.parametrize(
    ("manoeuvre", "kind"),
    [
        ("slow", Intervention.KIND_SLOW_DOWN),
        ("hold", Intervention.KIND_HOLD),
        ("retreat", Intervention.KIND_RETRY),
    ],
)
def test_manoeuvres_that_need_no_scene_act_without_one(acting, manoeuvre, kind):
    rig = acting([manoeuvre])
    rig.step(0, scene={})
    found = rig.step(1, scene={})
    assert (found.kind, found.manoeuvre) == (kind, manoeuvre)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"values": 3}, "scene_estimate"),
        ({"scene": {**CARRIED, "goal.x": 1e9}}, "scene_estimate"),
        ({"scene": {**CARRIED, "goal.x": math.inf}}, "scene_estimate"),
        ({"height": math.nan}, "tool_pose"),
    ],
)
def test_an_unusable_input_holds_the_robot_where_a_failure_is_forecast(acting, wrong, said):
    rig = acting(["carry"])
    assert rig.step(0).kind == Intervention.KIND_PASS
    found = rig.step(1, **wrong)
    assert found.kind == Intervention.KIND_HOLD
    assert "collision is forecast" in found.reason
    assert said in found.reason
    assert rig.step(2).manoeuvre == "carry"


def test_an_unusable_input_matters_to_nobody_while_no_failure_is_forecast(acting):
    rig = acting(["carry"])
    assert rig.step(0, outcome=(0, 0, 0, 0), values=3).kind == Intervention.KIND_PASS


@pytest.mark.parametrize("action", [[math.nan] * 7, [0.5, 0, 0, 0, 0, 0, 0], [0.0] * 6])
def test_a_proposal_that_cannot_be_executed_is_held_whatever_is_forecast(acting, action):
    rig = acting(["slow"], when={"outcome_above": 2.0})
    found = rig.step(0, action=action)
    assert found.kind == Intervention.KIND_HOLD
    assert found.reason


def test_a_forecast_of_another_shape_counts_as_missing(acting):
    rig = acting(["hold"])
    for step in range(3):
        found = rig.step(step, outcome=(0.9,) * 5)
        assert (found.kind, found.manoeuvre) == (Intervention.KIND_HOLD, "")
        assert "expected 4 outcome_probabilities, got 5" in found.reason


def test_a_world_that_was_started_anew_is_answered_with_what_it_sends_now(acting):
    rig = acting(["carry"], when={"outcome_above": 0.3, "steps": 1})
    assert [rig.step(number).executed[2] > 0.0 for number in range(10)] == [False] + 9 * [True]
    rig.begin(2)
    rig.begin(1)  # the same numbers and stamps once more, with the obstacle far below
    low = {**CARRIED, "obstacle.top": -0.5}
    rig.step(0, scene=low, height=0.6)
    found = rig.step(1, scene=low, height=0.6)
    assert found.manoeuvre == "carry"
    assert found.executed[2] < 0.0


def test_what_the_gripper_holds_outlasts_another_word_on_what_actions_mean(acting):
    rig = acting(["hold"], when={"outcome_above": 2.0})
    rig.step(0)
    rig.announce(rig.supervisor._check.spec)
    rig.settle()
    found = rig.step(1, action=[math.nan] * 7)
    assert found.kind == Intervention.KIND_HOLD
    assert found.executed[6] == CLOSED[6]


def test_where_nobody_estimates_the_scene_that_is_said(rig_of, tmp_path):
    path = tmp_path / "table.yaml"
    path.write_text(yaml.safe_dump({"rules": {"collision": {"manoeuvres": ["carry"]}}}))
    rig = rig_of(Rig, interventions=str(path))
    rig.begin(1)
    rig.propose(1, 0)
    rig.until(lambda: "carry are not offered" in rig.status()[1])


def test_help_is_asked_for_once_and_the_robot_held_until_somebody_answers(acting):
    rig = acting(["ask_for_help"], when={"on_alarm": True})
    assert not rig.call("resume").success
    for step in range(3):
        assert rig.step(step).kind == Intervention.KIND_ASK_FOR_HELP
    rig.until(lambda: any(request.waiting for request in rig.requests))
    assert rig.call("resume").success
    assert rig.step(3).kind == Intervention.KIND_PASS
    rig.until(lambda: rig.requests[-1].answer == "resume" and not rig.requests[-1].waiting)
    assert sum(request.waiting for request in rig.requests) == 1


def test_while_an_operator_moves_the_robot_nothing_is_sent(acting):
    rig = acting(["ask_for_help"], when={"on_alarm": True})
    rig.step(0)
    assert rig.call("take_over").success
    sent = len(rig.commands)
    found = rig.step(1)
    assert "taken over" in found.reason
    assert list(found.executed) == []
    rig.settle()
    rig.supervisor._hold("no fresh proposal")
    rig.supervisor._hold("no fresh proposal")  # as the watchdog repeats it
    rig.settle()
    assert len(rig.commands) == sent
    assert rig.call("resume").success
    assert list(rig.step(2).executed) == CLOSED


def test_an_aborted_episode_is_held_until_the_next_one(acting):
    rig = acting(["ask_for_help"], when={"on_alarm": True})
    rig.step(0)
    assert rig.call("abort").success
    found = rig.step(1, alarm=False)
    assert found.kind == Intervention.KIND_HOLD
    assert "aborted" in found.reason


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("rules: {collision: {manoeuvres: [fly]}}", "'fly' is not known"),
        ("rules: [1]", "must be a mapping"),
        ("rules: {collision: {whenever: 1}}", "whenever"),
    ],
)
def test_a_wrong_table_is_refused(ros, tmp_path, capfd, content, said):
    path = tmp_path / "wrong.yaml"
    path.write_text(content)
    node = SupervisorNode(parameter_overrides=[Parameter("interventions", value=str(path))])
    try:
        assert not node.start()
    finally:
        node.destroy_node()
    assert said in capfd.readouterr().err


def test_a_table_that_the_robot_cannot_follow_holds_it(rig_of, tmp_path):
    path = tmp_path / "table.yaml"
    path.write_text(yaml.safe_dump({"rules": {"spill": {"manoeuvres": ["slow"]}}}))
    rig = rig_of(ActingRig, table=path)
    rig.begin(1)
    assert "'spill' is not known" in rig.problem()
    found = rig.step(0)
    assert found.kind == Intervention.KIND_HOLD
    assert "'spill' is not known" in found.reason


def test_out_of_lockstep_the_newest_fresh_forecast_counts(rig_of, tmp_path):
    path = tmp_path / "table.yaml"
    rule = {"when": {"on_alarm": True}, "manoeuvres": ["hold"]}
    path.write_text(yaml.safe_dump({"rules": {"collision": rule}}))
    patient = {"max_forecast_age": 1000.0, "forecast_slack": 60.0, "proposal_slack": 60.0}
    rig = rig_of(ActingRig, table=path, lockstep=False, **patient)
    rig.begin(1)
    now = rig.node.get_clock().now().to_msg()
    forecast = FailureForecast(
        header=Header(stamp=now), episode=1, step=0, probabilities=[0.0] * 16, alarm=True,
        likeliest_failure=1, outcome_probabilities=[0.0] * 4,
    )  # fmt: skip
    rig.propose(1, 0)
    rig.forecasts.publish(forecast)
    rig.settle()
    rig.propose(1, 1)
    rig.until(lambda: any(one.manoeuvre == "hold" for one in rig.interventions))
    assert np.allclose(rig.commands[-1].action[:6], 0.0)
    assert list(rig.commands[-1].action) != ACTION
