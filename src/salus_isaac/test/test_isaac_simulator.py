# SPDX-License-Identifier: Apache-2.0
"""The calls of Isaac Sim's API, against modules that have only what the table lists."""

import importlib
import os
import sys

import numpy as np
import pytest
from fake_api import Array, install

from salus_isaac.simulator import LINKS, Effects, SimulatorError
from salus_isaac.stage import describe_stage, read_placement

MODULE = "salus_isaac.isaac_simulator"


class App:
    def __init__(self, calls):
        self.calls, self.running = calls, True

    def update(self):
        self.calls.append(("App", "update", "", (), {}))

    def is_running(self):
        return self.running


class Rig:
    """The simulator on the fake API, opened or not."""

    def __init__(self, monkeypatch, world, graph, interface):
        world.reset(5, "hard", "none")
        self.world, self.graph, self.stage = world, graph, describe_stage(world)
        filters = len([shape for shape in self.stage.shapes if shape.collides])
        self.matrix = np.zeros((len(LINKS), filters, 3))
        self.answers = {
            "dof_names": list(reversed(interface.joint_names)),
            "get_dof_indices": lambda prim: "INDICES",
            "get_world_poses": lambda prim: (Array([[1, 2, 3]]), Array([[0.5, 0.1, 0.2, 0.3]])),
            "get_contact_force_matrix": lambda prim: Array(self.matrix),
            "get_assets_root_path": "http://assets",
            "is_playing": True,
        }
        self.calls = install(monkeypatch, self.answers)
        monkeypatch.delitem(sys.modules, MODULE, raising=False)
        self.module = importlib.import_module(MODULE)
        self.app = App(self.calls)
        self.simulator = self.module.IsaacSimulator(self.app, headless=True)

    def open(self):
        self.simulator.open(self.graph, self.stage)
        return self.simulator

    def called(self, method, path=None):
        return [c for c in self.calls if c[1] == method and path in (None, c[2])]

    def order(self, *methods):
        names = [call[1] for call in self.calls]
        return [names.index(method) for method in methods]


@pytest.fixture
def rig(monkeypatch, world, graph, interface):
    yield Rig(monkeypatch, world, graph, interface)
    sys.modules.pop(MODULE, None)


def effects(**changes):
    values = {
        "arm_force": np.zeros(3),
        "object_force": np.zeros(3),
        "target": "red_cube",
        "friction": 1.0,
        "light": 1.0,
    }
    return Effects(**{**values, **changes})


def test_time_steps_are_set_before_the_graph_and_joints_after_play(rig):
    rig.open()
    order = rig.order("create_new_stage", "setup_simulation", "set_dt", "play", "set_dof_gains")
    assert order == sorted(order)
    assert rig.called("setup_simulation")[0][4]["dt"] == pytest.approx(1 / 240)
    assert rig.called("set_dt")[0][3] == (pytest.approx(1 / 30),)
    assert not rig.called("stop")


def test_the_graph_is_made_as_its_data_says(rig, graph):
    simulator_graph = sys.modules["omni.graph.core"].Controller
    rig.open()
    (settings, parts), _ = simulator_graph.edit.call_args
    assert settings == {"graph_path": graph.path, "evaluator_name": "execution"}
    keys = simulator_graph.Keys
    assert parts[keys.CREATE_NODES] == graph.nodes
    assert parts[keys.CONNECT] == graph.connections
    assert [where for where, _ in parts[keys.SET_VALUES]] == [where for where, _ in graph.values]


def test_every_shape_is_placed_and_absent_objects_do_not_fall(rig):
    simulator = rig.open()
    rig.calls.clear()
    placement = read_placement(rig.world)
    simulator.place(placement)
    placed = {call[2] for call in rig.called("set_world_poses")}
    moving = {f"/World/{s.name}" for s in rig.stage.shapes if s.role != "fixed"}
    assert moving <= placed
    for name in rig.world.scene.objects["names"]:
        (gravity,) = rig.called("set_enabled_gravities", f"/World/{name}")
        assert gravity[3] == ([name in rig.world.scenario.objects],)
    assert rig.called("reset_to_default_state")
    assert not rig.called("stop")


def test_all_nine_joints_approach_their_targets_evenly_over_a_period(rig):
    simulator = rig.open()
    substeps = rig.stage.substeps
    start, way = simulator._targets.copy(), np.arange(1.0, 10.0)
    rig.calls.clear()
    simulator.command(start + way)
    for _ in range(substeps + 1):
        simulator._before_step(0.004, None)
    calls = rig.called("set_dof_position_targets")
    passed = [*np.arange(1, substeps + 1) / substeps, 1.0]
    for call, part in zip(calls, passed, strict=True):
        assert call[3][0][0] == pytest.approx(start + part * way)
        assert call[4] == {"dof_indices": "INDICES"}


def test_forces_are_applied_before_every_physics_step_while_they_act(rig):
    simulator = rig.open()
    rig.calls.clear()
    simulator.apply(effects())
    simulator._before_step(0.004, None)
    assert not rig.called("apply_forces")
    simulator.apply(effects(arm_force=np.array([30.0, 0, 0]), object_force=np.array([0, 5.0, 0])))
    for _ in range(2):
        simulator._before_step(0.004, None)
    assert len(rig.called("apply_forces", "/World/Franka/panda_hand")) == 2
    assert rig.called("apply_forces", "/World/red_cube")[0][3] == ([[0, 5.0, 0]],)


def test_friction_and_light_change_only_when_they_must(rig):
    simulator = rig.open()
    simulator.apply(effects())
    rig.calls.clear()
    lamp = simulator._lamp.GetIntensityAttr().Set
    dome = simulator._dome.GetIntensityAttr().Set
    lamp.reset_mock(), dome.reset_mock()
    simulator.apply(effects())
    assert not rig.called("set_friction_coefficients")
    assert not lamp.called
    assert not dome.called
    simulator.apply(effects(friction=0.01, light=0.3))
    (call,) = rig.called("set_friction_coefficients")
    assert (call[2], call[3]) == ("/World/materials/red_cube", ([0.01], [0.01]))
    lamp.assert_called_once_with(0.3 * rig.module._LAMP_INTENSITY)
    dome.assert_called_once_with(0.3 * rig.module._DOME_INTENSITY)


def test_the_largest_contact_of_a_period_is_kept_by_link_and_shape(rig):
    simulator = rig.open()
    simulator.advance()
    shapes = [shape.name for shape in rig.stage.shapes if shape.collides]
    sensor, other = LINKS.index("panda_hand"), shapes.index("obstacle")
    for force in (3.0, 20.0, 7.0):
        rig.matrix[sensor, other] = [0, 0, force]
        simulator._after_step(0.004, None)
    assert simulator.read().contacts == {("panda_hand", "obstacle"): 20.0}
    simulator.advance()
    assert simulator.read().contacts == {}


def test_sensors_and_filters_are_never_of_equal_number(rig):
    rig.open()
    (touch,) = [c for c in rig.calls if c[1] == "__init__" and "contact_filter_paths" in c[4]]
    assert len(touch[2]) != len(touch[4]["contact_filter_paths"])


def test_poses_are_told_as_xyzw(rig):
    readings = rig.open().read()
    assert readings.hand_pose.tolist() == [1, 2, 3, 0.1, 0.2, 0.3, 0.5]
    assert set(readings.object_poses) == set(rig.world.scene.objects["names"])


def test_without_a_window_no_frame_is_drawn_while_waiting(rig):
    simulator = rig.open()
    rig.calls.clear()
    assert simulator.idle()
    assert rig.calls == []
    rig.app.running = False
    assert not simulator.idle()


def test_a_window_is_drawn_without_passing_time(rig):
    simulator = rig.module.IsaacSimulator(rig.app, headless=False)
    simulator.open(rig.graph, rig.stage)
    rig.calls.clear()
    simulator.idle()
    assert [call[1] for call in rig.calls] == ["render"]


@pytest.mark.parametrize(
    ("answer", "value", "message"),
    [
        ("get_assets_root_path", None, "finds no assets for the Franka"),
        ("dof_names", ["panda_joint1"], "the Franka asset has the joints panda_joint1; expected"),
    ],
)
def test_an_asset_that_does_not_fit_is_refused(rig, answer, value, message):
    rig.answers[answer] = value
    with pytest.raises(SimulatorError, match=message):
        rig.open()


def test_a_stopped_timeline_ends_the_step(rig):
    simulator = rig.open()
    rig.answers["is_playing"] = False
    with pytest.raises(SimulatorError, match="timeline has been stopped"):
        simulator.advance()


def test_the_bridge_makes_the_app_first_and_passes_rclpy_its_arguments(rig, monkeypatch):
    from salus_isaac import bridge
    from salus_ros import managed_node

    given = {}

    def run(node, arguments):
        given.update(arguments=arguments, argv=list(sys.argv), calls=list(rig.calls))
        return 3

    monkeypatch.setattr(managed_node, "run", run)
    monkeypatch.setitem(os.environ, "EXP_PATH", "/isaac/apps")
    monkeypatch.setattr(sys, "argv", ["isaac_world", "--ros-args", "-r", "__ns:=/salus"])
    assert bridge.run_bridge(True, 1, ["--ros-args", "-r", "__ns:=/salus"]) == 3
    names = [call[1] for call in given["calls"]]
    assert names == ["__init__", "enable_extension", "update"]
    settings, options = given["calls"][0][2], given["calls"][0][4]
    assert (settings["active_gpu"], settings["headless"]) == (1, True)
    assert options["experience"] == "/isaac/apps/isaacsim.exp.base.zero_delay.kit"
    assert given["argv"] == ["isaac_world"]
    assert given["arguments"] == ["--ros-args", "-r", "__ns:=/salus"]
    assert rig.calls[-1][1] == "close"
    assert rig.calls[-1][4] == {"exit_code": 3}
