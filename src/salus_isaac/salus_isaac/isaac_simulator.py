# SPDX-License-Identifier: Apache-2.0
"""Isaac Sim's side of the bridge: stage, robot, contacts, forces, lights, graph.

Import it only once a SimulationApp exists. Quaternions of this API are wxyz.
"""

from __future__ import annotations

from typing import Any

import isaacsim.core.experimental.utils.app as app_utils
import isaacsim.core.experimental.utils.stage as stage_utils
import numpy as np
import omni.graph.core as og
import usdrt.Sdf
from isaacsim.core.experimental.materials import RigidBodyMaterial
from isaacsim.core.experimental.prims import Articulation, GeomPrim, RigidPrim, XformPrim
from isaacsim.core.rendering_manager import RenderingManager
from isaacsim.core.simulation_manager import SimulationEvent, SimulationManager
from isaacsim.storage.native import get_assets_root_path
from pxr import Gf, UsdGeom, UsdLux, UsdPhysics

from salus_isaac.graph import ROBOT_PATH, Graph, camera_path
from salus_isaac.simulator import FINGER_LINKS, LINKS, Effects, Readings, SimulatorError
from salus_isaac.stage import BOX, DYNAMIC, FIXED, MOVED, CameraView, Placement, Shape, Stage

_FRANKA = "/Isaac/Robots/FrankaRobotics/FrankaPanda/franka.usd"
_VARIANTS = [("Gripper", "AlternateFinger"), ("Mesh", "Quality")]
_LAMP, _DOME = "/World/lamp", "/World/dome"
_LAMP_INTENSITY, _LAMP_RADIUS = 60000.0, 0.05  # looked at nowhere yet: see docs/isaac.md
_DOME_INTENSITY = 400.0
_FOCAL_LENGTH = 24.0  # only its ratio to the aperture counts
_CLIPPING = (0.02, 10.0)  # [m]


class IsaacSimulator:
    """A Simulator (see salus_isaac.simulator) on a running SimulationApp.

    Args:
        app: the SimulationApp; it is its maker's to close.
        headless: there is no window to keep alive.
    """

    def __init__(self, app: Any, headless: bool) -> None:
        self._app, self._headless = app, headless
        self._effects: Effects | None = None
        self._contacts: dict[tuple[str, str], float] = {}
        self._targets, self._way, self._passed = np.zeros(9), np.zeros(9), 0

    def open(self, graph: Graph, stage: Stage) -> None:
        """Build the stage and the graph, and start the timeline.

        Raises:
            SimulatorError: the assets cannot be reached, or the robot has other joints.
        """
        self._stage = stage
        stage_utils.create_new_stage()
        stage_utils.set_stage_units(meters_per_unit=1.0)
        stage_utils.set_stage_up_axis("Z")
        # Before any render product is made, or its period would be another one.
        SimulationManager.setup_simulation(dt=stage.period / stage.substeps, device="cpu")
        RenderingManager.set_dt(stage.period)
        usd = stage_utils.get_current_stage(backend="usd")
        self._add_robot()
        self._add_shapes(usd, stage)
        self._add_lights(usd)
        for name, view in stage.start.cameras.items():
            self._add_camera(usd, name, view, stage.width / stage.height)
        self._add_contacts(stage)
        self._app.update()
        _edit_graph(graph)
        app_utils.play()
        self._app.update()
        self._configure_joints(stage)
        register = SimulationManager.register_callback
        register(self._before_step, SimulationEvent.PHYSICS_PRE_STEP)
        register(self._after_step, SimulationEvent.PHYSICS_POST_STEP)
        self.place(stage.start)

    def place(self, placement: Placement) -> None:
        """Set everything that an episode starts from; the timeline goes on."""
        self._effects = None
        joints = [placement.joints.tolist()]
        still = [[0.0] * len(placement.joints)]
        self._robot.set_default_state(
            dof_positions=joints, dof_velocities=still, dof_efforts=still, dof_indices=self._dofs
        )
        self._robot.reset_to_default_state()
        self._robot.set_dof_position_targets(joints, dof_indices=self._dofs)
        self._targets, self._way = np.array(placement.joints), np.zeros(len(placement.joints))
        for name, state in placement.shapes.items():
            shape, prim = self._shapes[name], self._prims[name]
            position, turn = [state.position.tolist()], [state.quaternion.tolist()]
            if shape.role != FIXED:
                prim.set_local_scales([state.size.tolist()])
                prim.set_world_poses(position, turn)
            self._gprims[name].GetDisplayColorAttr().Set([Gf.Vec3f(*state.color.tolist())])
            if shape.collides:
                self._set_friction(name, state.friction)
            if shape.role == DYNAMIC:
                prim.set_velocities([[0.0] * 3], [[0.0] * 3])
                prim.set_masses([state.mass])
                prim.set_enabled_gravities([state.present])
        self._pads.set_friction_coefficients([placement.pad_friction], [placement.pad_friction])
        self._lamp_prim.set_world_poses([placement.lamp.tolist()])
        for name, view in placement.cameras.items():
            self._cameras[name].set_local_poses(
                [view.position.tolist()], [view.quaternion.tolist()]
            )

    def command(self, targets: np.ndarray) -> None:
        """Position targets of all nine joints [rad, m]; the next period approaches them evenly."""
        self._way, self._passed = np.array(targets) - self._targets, 0
        self._targets = np.array(targets)

    def apply(self, effects: Effects) -> None:
        """Let these effects act during the following periods."""
        before, self._effects = self._effects, effects
        if before is None or before.friction != effects.friction:
            self._set_friction(effects.target, effects.friction)
        if before is None or before.light != effects.light:
            self._lamp.GetIntensityAttr().Set(_LAMP_INTENSITY * effects.light)
            self._dome.GetIntensityAttr().Set(_DOME_INTENSITY * effects.light)

    def advance(self) -> None:
        """Pass one control period: physics, then graph and images of its end."""
        self._contacts = {}
        if not app_utils.is_playing():
            raise SimulatorError("the timeline has been stopped or paused: leave it playing")
        self._app.update()

    def read(self) -> Readings:
        """Ground truth of now, contacts of the last period."""
        objects = [name for name, shape in self._shapes.items() if shape.role == DYNAMIC]
        return Readings(
            object_poses={name: _pose(self._prims[name]) for name in objects},
            hand_pose=_pose(self._hand),
            contacts=dict(self._contacts),
        )

    def idle(self) -> bool:
        """Keep a window alive without passing time; False once the user has closed it."""
        if not self._headless:
            RenderingManager.render()
        return self._app.is_running()

    def _add_robot(self) -> None:
        root = get_assets_root_path()
        if root is None:
            raise SimulatorError(
                "Isaac Sim finds no assets for the Franka: allow it to reach its asset server, or "
                "set persistent.isaac.asset_root.default to a local copy"
            )
        stage_utils.add_reference_to_stage(root + _FRANKA, ROBOT_PATH, variants=_VARIANTS)
        self._robot = Articulation(ROBOT_PATH)
        self._hand = RigidPrim(f"{ROBOT_PATH}/panda_hand")
        # The embedded arm is compensated for gravity; so is this one.
        RigidPrim([f"{ROBOT_PATH}/{link}" for link in LINKS]).set_enabled_gravities([False])
        fingers = GeomPrim([f"{ROBOT_PATH}/{link}" for link in FINGER_LINKS])
        self._pads = RigidBodyMaterial("/World/materials/pads", restitutions=[0.0])
        fingers.apply_physics_materials(self._pads)

    def _add_shapes(self, usd: Any, stage: Stage) -> None:
        self._shapes = {shape.name: shape for shape in stage.shapes}
        self._prims: dict[str, XformPrim | RigidPrim] = {}
        self._gprims: dict[str, Any] = {}
        self._materials: dict[str, RigidBodyMaterial] = {}
        for shape in stage.shapes:
            state = stage.start.shapes[shape.name]
            path = _shape_path(shape)
            self._gprims[shape.name] = _define(usd, path, shape)
            XformPrim(
                path,
                positions=[state.position.tolist()],
                orientations=[state.quaternion.tolist()],
                scales=[state.size.tolist()],
                reset_xform_op_properties=True,
            )
            if shape.collides:
                material = RigidBodyMaterial(f"/World/materials/{shape.name}", restitutions=[0.0])
                # The smaller of two counts. In the embedded world it is the object's own, which is
                # the smaller one as long as pads and table have more.
                material.set_combine_modes(frictions="min")
                GeomPrim(path, apply_collision_apis=True).apply_physics_materials(material)
                self._materials[shape.name] = material
            moves = shape.role == DYNAMIC or (shape.role == MOVED and shape.collides)
            self._prims[shape.name] = RigidPrim(path) if moves else XformPrim(path)
            if shape.role == MOVED and shape.collides:
                body = UsdPhysics.RigidBodyAPI(usd.GetPrimAtPath(path))
                body.CreateKinematicEnabledAttr(True)

    def _add_lights(self, usd: Any) -> None:
        self._lamp = UsdLux.SphereLight.Define(usd, _LAMP)
        self._lamp.CreateRadiusAttr(_LAMP_RADIUS)
        self._lamp.CreateIntensityAttr(_LAMP_INTENSITY)
        self._lamp_prim = XformPrim(_LAMP, reset_xform_op_properties=True)
        self._dome = UsdLux.DomeLight.Define(usd, _DOME)
        self._dome.CreateIntensityAttr(_DOME_INTENSITY)
        self._cameras: dict[str, XformPrim] = {}

    def _add_camera(self, usd: Any, name: str, view: CameraView, aspect: float) -> None:
        camera = UsdGeom.Camera.Define(usd, camera_path(name))
        height = 2.0 * _FOCAL_LENGTH * float(np.tan(view.fovy / 2.0))
        camera.CreateFocalLengthAttr(_FOCAL_LENGTH)
        camera.CreateVerticalApertureAttr(height)
        camera.CreateHorizontalApertureAttr(height * aspect)
        camera.CreateClippingRangeAttr(Gf.Vec2f(*_CLIPPING))
        self._cameras[name] = XformPrim(camera_path(name), reset_xform_op_properties=True)

    def _add_contacts(self, stage: Stage) -> None:
        self._others = [shape.name for shape in stage.shapes if shape.collides]
        # Of an object it matters what it meets while it is held.
        objects = [shape.name for shape in stage.shapes if shape.role == DYNAMIC]
        links = list(LINKS)
        if len(links) + len(objects) == len(self._others):
            # Equal lengths would mean one filter for each sensor instead of all for all.
            links.append("panda_link0")
        self._sensors = [*links, *objects]
        self._touch = RigidPrim(
            [
                *(f"{ROBOT_PATH}/{link}" for link in links),
                *(_shape_path(self._shapes[name]) for name in objects),
            ],
            contact_filter_paths=[_shape_path(self._shapes[name]) for name in self._others],
        )
        self._touch.set_enabled_contact_tracking([True])

    def _configure_joints(self, stage: Stage) -> None:
        names = list(self._robot.dof_names)
        if sorted(names) != sorted(stage.joint_names):
            raise SimulatorError(
                f"the Franka asset has the joints {', '.join(names)}; expected "
                f"{', '.join(stage.joint_names)}"
            )
        self._dofs = self._robot.get_dof_indices(stage.joint_names)
        drives = {name: [values.tolist()] for name, values in stage.drives.items()}
        self._robot.set_dof_gains(drives["stiffness"], drives["damping"], dof_indices=self._dofs)
        self._robot.set_dof_max_efforts(drives["effort"], dof_indices=self._dofs)
        self._robot.set_dof_armatures(drives["armature"], dof_indices=self._dofs)

    def _set_friction(self, name: str, friction: float) -> None:
        self._materials[name].set_friction_coefficients([friction], [friction])

    def _before_step(self, dt: float, context: Any) -> None:
        """Joint targets and forces are set before each physics step, which is all they last."""
        if self._way.any():
            self._passed = min(self._passed + 1, self._stage.substeps)
            part = self._targets - self._way * (1.0 - self._passed / self._stage.substeps)
            self._robot.set_dof_position_targets([part.tolist()], dof_indices=self._dofs)
        effects = self._effects
        if effects is None:
            return
        if effects.arm_force.any():
            self._hand.apply_forces([effects.arm_force.tolist()])
        if effects.object_force.any():
            self._prims[effects.target].apply_forces([effects.object_force.tolist()])

    def _after_step(self, dt: float, context: Any) -> None:
        """Keep the largest force of each pair: an impact can be shorter than a control period."""
        matrix = self._touch.get_contact_force_matrix(dt=dt).numpy()
        forces = np.linalg.norm(matrix, axis=-1)
        for sensor, other in np.argwhere(forces > 0.0):
            pair = (self._sensors[sensor], self._others[other])
            force = float(forces[sensor, other])
            self._contacts[pair] = max(force, self._contacts.get(pair, 0.0))


def _shape_path(shape: Shape) -> str:
    return f"/World/{shape.name}"


def _define(usd: Any, path: str, shape: Shape) -> Any:
    """A shape of unit size, to be scaled."""
    if shape.kind == BOX:
        prim = UsdGeom.Cube.Define(usd, path)
        prim.CreateSizeAttr(1.0)
    else:
        prim = UsdGeom.Cylinder.Define(usd, path)
        prim.CreateRadiusAttr(0.5)
        prim.CreateHeightAttr(1.0)
        prim.CreateAxisAttr("Z")
    prim.CreateDisplayColorAttr([Gf.Vec3f(0.5, 0.5, 0.5)])
    return prim


def _pose(prim: Any) -> np.ndarray:
    """Position and quaternion xyzw of a single prim: (7,)."""
    position, turn = (array.numpy()[0] for array in prim.get_world_poses())
    return np.concatenate([position, np.roll(turn, -1)]).astype(float)


def _edit_graph(graph: Graph) -> None:
    """Make a graph. Prim paths must be given as usdrt's."""

    def native(value: Any) -> Any:
        if isinstance(value, list) and all(isinstance(v, str) and v[:1] == "/" for v in value):
            return [usdrt.Sdf.Path(path) for path in value]
        return value

    keys = og.Controller.Keys
    og.Controller.edit(
        {"graph_path": graph.path, "evaluator_name": graph.evaluator},
        {
            keys.CREATE_NODES: graph.nodes,
            keys.SET_VALUES: [(where, native(value)) for where, value in graph.values],
            keys.CONNECT: graph.connections,
        },
    )
