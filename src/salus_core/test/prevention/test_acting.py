# SPDX-License-Identifier: Apache-2.0
"""The supervisor that acts: bounds, limits, and what it does without what it needs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salus_core.actions import TOOL_MOTION, ActionKind, ActionSpec
from salus_core.data.scene import SCENE_NAMES
from salus_core.failures import FAILURE_NAMES, Taxonomy
from salus_core.prevention import manoeuvres
from salus_core.prevention.manoeuvres.base import ManoeuvreError
from salus_core.prevention.supervisor import ActingSupervisor
from salus_core.prevention.table import Table, TableError
from salus_core.prevention.triggers import FixedTrigger
from salus_core.runtime import Monitored, Observation, Proposal, SceneEstimate
from salus_core.supervision import LimitCheck, Limits

SPEC = ActionSpec(
    TOOL_MOTION.names, TOOL_MOTION.units, TOOL_MOTION.kinds, (0.014,) * 3 + (0.1,) * 3 + (1.0,)
)
PERIOD = 1 / 30
POLICY = np.array([0.004, 0.0, -0.004, 0.0, 0.0, 0.1, 1.0])


def acting(table, steps=None, **given):
    if isinstance(table, dict):
        table = Table.from_dict(table)
    trigger = FixedTrigger({"collision": 0} if steps is None else steps)
    return ActingSupervisor(SPEC, table, Taxonomy(), PERIOD, trigger=trigger, **given)


def observation(step=0, tool=(0.4, 0.0, 0.2), width=0.08):
    return Observation(
        images={},
        joint_positions=None,
        joint_velocities=None,
        tool_position=None if tool is None else np.array(tool),
        tool_quaternion=np.array([1.0, 0.0, 0.0, 0.0]),
        gripper_width=width,
        instruction="",
        step=step,
    )


def seen(scene=None, action=POLICY):
    estimate = None
    if scene is not None:
        values = np.array([scene.get(name, np.nan) for name in SCENE_NAMES], np.float32)
        estimate = SceneEstimate(SCENE_NAMES, values, "test")
    return Monitored(Proposal(np.array(action, np.float64)), None, estimate)


def only(name, **given):
    return {"rules": {"collision": {"manoeuvres": [name]}}, "settings": {name: given}}


def run(supervisor, count, **given):
    return [supervisor.decide(observation(step), seen(**given)) for step in range(count)]


def test_slow_scales_motions_and_leaves_the_gripper():
    decision = acting(only("slow", factor=0.5)).decide(observation(), seen())
    np.testing.assert_allclose(decision.action, [0.002, 0, -0.002, 0, 0, 0.05, 1.0])
    assert (decision.intervention, decision.manoeuvre) == ("slow_down", "slow")
    assert "collision" in decision.reason


def test_hold_rests_for_a_while_and_the_policy_goes_on():
    found = run(acting(only("hold", most=2)), 4)
    assert [one.intervention for one in found] == ["hold", "hold", "pass", "pass"]
    np.testing.assert_allclose(found[0].action, [0, 0, 0, 0, 0, 0, 1.0])
    np.testing.assert_allclose(found[2].action, POLICY)


def test_nothing_is_done_before_a_failure_is_forecast():
    found = run(acting(only("hold"), steps={"collision": 2}), 4)
    assert [one.intervention for one in found] == ["pass", "pass", "hold", "hold"]


def test_observing_says_what_it_would_do_and_changes_nothing():
    decision = acting(only("hold"), acts=False).decide(observation(), seen())
    assert (decision.intervention, decision.manoeuvre) == ("pass", "hold")
    np.testing.assert_allclose(decision.action, POLICY)


def test_asking_for_help_holds_until_somebody_answers():
    supervisor = acting(only("ask_for_help"))
    assert {one.intervention for one in run(supervisor, 3)} == {"ask_for_help"}
    supervisor.answer_help()
    assert {one.intervention for one in run(supervisor, 3)} == {"pass"}


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"tries": 0}, "pppp"),
        ({"budget": 2.5 / 30}, "hhpp"),
        ({"tries": 20}, "hhhh"),
    ],
)
def test_interventions_are_bounded(bounds, expected):
    table = only("hold", most=0) | {"bounds": bounds}
    found = run(acting(table), 4)
    assert "".join(one.intervention[0] for one in found) == expected


def test_after_an_intervention_it_cools_down():
    class Blinking:
        name, kind, exclusive = "slow", "slow_down", True

        def reset(self):
            self.count = 0

        def act(self, situation, action, wanted):
            self.count += 1
            return action * 0.5 if self.count % 2 else None

    table = only("slow") | {"bounds": {"cool_down": 3.5 / 30}}
    supervisor = acting(table)
    supervisor._manoeuvres = {"slow": Blinking()}
    supervisor.reset()
    found = [one.intervention[0] for one in run(supervisor, 9)]
    assert "".join(found) == "sppp" + "sppp" + "s"


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (np.full(7, np.nan), "nan"),
        (np.zeros(6), "6 numbers"),
        ([1.0, 0, 0, 0, 0, 0, 1], "exceeds"),
    ],
)
@pytest.mark.parametrize("name", ["slow", "hold", "retreat"])
def test_a_broken_proposal_is_held_whatever_the_table_says(name, action, said):
    decision = acting(only(name)).decide(observation(), seen(action=action))
    assert (decision.intervention, decision.manoeuvre) == ("hold", "")
    assert said in decision.reason
    assert np.abs(decision.action[:6]).max() == 0.0


def test_who_asked_for_help_waits_longer_than_any_budget():
    supervisor = acting(only("ask_for_help") | {"bounds": {"tries": 0, "budget": 0.0}})
    assert {one.intervention for one in run(supervisor, 600)} == {"ask_for_help"}
    assert (supervisor.tries, supervisor.steps) == (0, 0)


def test_a_budget_that_is_used_up_counts_no_further_tries():
    supervisor = acting(only("hold", most=0) | {"bounds": {"budget": 1.5 / 30}})
    run(supervisor, 10)
    assert (supervisor.tries, supervisor.steps) == (1, 1)


def test_a_hold_where_nobody_knows_what_holds_sends_nothing():
    joints = ActionSpec(("a",), ("rad",), (ActionKind.JOINT_POSITION,), (0.1,))
    table = Table.from_dict(only("hold"))
    supervisor = ActingSupervisor(
        joints, table, Taxonomy(), PERIOD, trigger=FixedTrigger({"collision": 0})
    )
    decision = supervisor.decide(observation(), seen(action=[0.3]))
    assert (decision.action, decision.intervention) == ((), "hold")


def test_a_supervisor_made_anew_keeps_what_the_gripper_holds():
    check = LimitCheck(SPEC, Limits())
    check.check([0.0] * 7)  # closed
    supervisor = acting(only("hold"), check=check)
    assert supervisor.decide(observation(), seen()).action[6] == 0.0
    supervisor.reset()
    assert check.hold("").action[6] == 0.0


@pytest.mark.parametrize("one", [True, False])
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e9])
def test_what_a_manoeuvre_gives_is_checked_last(value, one):
    class Wild:
        name, kind, exclusive = "slow", "slow_down", True

        def reset(self):
            pass

        def act(self, situation, action, wanted):
            return np.array([value, 0, 0, 0, 0, 0, 0.5]) if one else np.full(7, value)

    supervisor = acting(only("slow"))
    supervisor._manoeuvres = {"slow": Wild()}
    decision = supervisor.decide(observation(), seen())
    assert decision.intervention == "hold"
    assert np.abs(decision.action[:6]).max() == 0.0


@pytest.mark.parametrize(
    "name", ["carry", "keep_hold", "reach_higher", "grasp_deeper", "reapproach", "place"]
)
@pytest.mark.parametrize("scene", [None, {}, {"goal.x": 0.1}])
def test_without_the_places_that_it_needs_a_manoeuvre_is_not_offered(name, scene):
    found = run(acting(only(name)), 5, scene=scene)
    assert {one.intervention for one in found} == {"pass"}


def test_carrying_rises_before_the_obstacle_and_keeps_the_gripper_shut():
    supervisor = acting(only("carry"))
    closed = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    supervisor.decide(observation(), seen(action=closed))
    scene = {
        "goal.x": 0.3, "goal.y": 0.0, "near_goal.x": 0.3, "near_goal.y": 0.0, "grasped": 1.0,
        "obstacle.present": 1.0, "obstacle.x": 0.12, "obstacle.y": 0.0, "obstacle.top": 0.10,
        "target.half_size": 0.02, "held.z": 0.0,
    }  # fmt: skip
    decision = supervisor.decide(observation(1, width=0.04), seen(scene, [0.01, 0, 0, 0, 0, 0, 1]))
    assert decision.manoeuvre == "carry"
    assert decision.intervention == "recover"
    x, _, z, *_, opening = decision.action
    assert 0.0 <= x < 0.01
    assert z > 0.005
    assert opening == 0.0


def test_reapproach_opens_shifts_to_the_estimate_and_closes():
    supervisor = acting(only("reapproach"))
    tool, opening, phases = np.array([0.4, 0.0, 0.02]), 1.0, []
    target = tool + np.array([0.02, 0.0, 0.0])
    for step in range(60):
        offset = target - tool
        half_width = 0.02 if np.linalg.norm(offset[:2]) < 0.006 else 0.005
        width = 0.08 if opening > 0.5 else 2 * half_width
        scene = {
            "target.x": offset[0], "target.y": offset[1], "grasp.across": offset[0],
            "grasp.along": -offset[1], "grasp.z": 0.0, "target.half_size": 0.02, "grasped": 0.0,
        }  # fmt: skip
        closing = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
        decision = supervisor.decide(observation(step, tool, width), seen(scene, closing))
        tool, opening = tool + decision.action[:3], decision.action[6]
        phases.append((decision.manoeuvre, opening))
    assert np.linalg.norm(target[:2] - tool[:2]) < 0.005
    assert phases[0] == ("reapproach", 1.0)
    assert ("reapproach", 0.0) in phases
    assert phases[-1][0] == ""


def test_what_nobody_knows_is_refused():
    with pytest.raises(TableError, match="'fly' is not known"):
        acting(only("fly"))
    with pytest.raises(TableError, match="spill"):
        ActingSupervisor(SPEC, Table.from_dict({"rules": {"spill": {}}}), Taxonomy(), PERIOD)
    with pytest.raises(TableError, match=r"manoeuvres\.slow"):
        acting(only("slow", factors=1))


def test_a_robot_without_a_tool_is_refused_what_moves_one():
    joints = ActionSpec(("a", "b"), ("rad",) * 2, (ActionKind.JOINT_POSITION,) * 2, (0.1, 0.1))
    with pytest.raises(ManoeuvreError, match="tool_translation"):
        manoeuvres.make_manoeuvre("carry", joints, {})
    assert manoeuvres.make_manoeuvre("hold", joints, {}).name == "hold"


NUMBERS = st.floats(-0.5, 0.5, allow_nan=False, width=32) | st.just(float("nan"))


@settings(max_examples=60, deadline=None)
@given(
    scenes=st.lists(
        st.lists(NUMBERS, min_size=len(SCENE_NAMES), max_size=len(SCENE_NAMES)),
        min_size=1,
        max_size=12,
    ),
    tool=st.lists(st.floats(-0.5, 0.75, width=32), min_size=3, max_size=3),
    action=st.lists(st.floats(-0.014, 0.014), min_size=7, max_size=7),
    width=st.floats(0, 0.08),
)
def test_no_scene_leads_to_more_than_the_policy_itself_moves(scenes, tool, action, width):
    table = Table.load("tabletop")
    supervisor = ActingSupervisor(
        SPEC, table, Taxonomy(), PERIOD, trigger=FixedTrigger(dict.fromkeys(FAILURE_NAMES, 0))
    )
    action = [*action[:6], abs(action[6]) * 70]
    for step, values in enumerate(scenes):
        estimate = SceneEstimate(SCENE_NAMES, np.array(values, np.float32), "test")
        found = supervisor.decide(
            observation(step, tool, width),
            Monitored(Proposal(np.array(action, np.float64)), None, estimate),
        )
        assert "exceeds" not in found.reason  # no manoeuvre asks for more than the limits
        assert np.isfinite(found.action).all()
        assert (np.abs(found.action[:3]) <= 0.014 + 1e-12).all()
        assert 0.0 <= found.action[6] <= 1.0
