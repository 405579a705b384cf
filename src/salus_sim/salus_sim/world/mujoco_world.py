# SPDX-License-Identifier: Apache-2.0
"""The embedded world: MuJoCo physics and cameras behind reset, step and render."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from salus_sim.faults import ARM_FORCE, LIGHTING, OBJECT_FORCE, Fault, FaultInjector
from salus_sim.scenario import OBSTACLE, Scenario, sample_scenario
from salus_sim.scene import Scene
from salus_sim.slip import creep_at, film_friction, pad_overlap
from salus_sim.tasks import PUSH, PUT_IN, PUT_ON
from salus_sim.truth import GroundTruth
from salus_sim.world.controller import CartesianController
from salus_sim.world.model import build_model, hidden_position

_FORCE_READINGS = 4  # per control step
_HIDDEN_HALF = 0.02  # half the edge of a cube that is not in the scene [m]
_LIFTED = 0.02  # the target's height above rest from which a slip may begin [m]
_FILM_STIFFNESS = 200.0  # see `slip.film_friction` [1/s]


class WorldError(RuntimeError):
    """The world cannot start or continue; the message says what to do."""


@dataclass
class WorldTruth(GroundTruth):
    """Ground truth, proprioception and faults of one step.

    Attributes:
        joint_positions, joint_velocities, joint_efforts: (9,) seven arm joints [rad, rad/s, Nm],
            then two fingers [m, m/s, N].
        tool_quaternion: (4,) xyzw.
        faults: those that have begun, in order of onset.
    """

    joint_positions: np.ndarray
    joint_velocities: np.ndarray
    joint_efforts: np.ndarray
    tool_quaternion: np.ndarray
    faults: list[Fault]


class MujocoWorld:
    """A Panda on a table with coloured cubes, a goal and perhaps an obstacle.

    The same seed, difficulty, fault profile and actions give the same states bit for bit on one
    machine: every reset sets all that a scenario can change.
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.model = build_model(scene)
        self.data = mujoco.MjData(self.model)
        self.controller = CartesianController(scene, self.model)
        self.cameras = tuple(n for n, value in scene.cameras.items() if isinstance(value, dict))
        arm = scene.arm
        model = self.model
        names = [*arm["joint_names"], *arm["finger_names"]]
        self._qpos = np.array([model.joint(n).qposadr[0] for n in names])
        self._dofs = np.array([model.joint(n).dofadr[0] for n in names])
        self._site = model.site("tool").id
        self._hand = model.body("hand").id
        self._bodies = {name: model.body(name).id for name in scene.objects["names"]}
        self._pads = {model.geom(f"finger_{side}_pad").id: side for side in ("left", "right")}
        self._arm_geoms = frozenset(i for i in range(model.ngeom) if model.geom_contype[i] == 1)
        self._camera_pose = {
            n: (model.camera(n).pos.copy(), model.camera(n).quat.copy()) for n in self.cameras
        }
        self._lamp = model.light("lamp").diffuse.copy()
        self._colors = {n: model.geom(n).rgba.copy() for n in scene.objects["names"]}
        self._mocap = {n: int(model.body(n).mocapid[0]) for n in (OBSTACLE, "tray")}
        self._fingers = np.array([model.actuator(n).id for n in arm["finger_names"]])
        self._renderer: mujoco.Renderer | None = None
        self.scenario: Scenario | None = None
        self._holding = False  # the target, at the last observation
        self._velocity = np.zeros(6)

    def close(self) -> None:
        """Free the renderer's context."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def reset(
        self,
        seed: int,
        difficulty: str,
        fault_profile: str,
        instruction: str = "",
        tasks: tuple[str, ...] = (),
        wording: str = "seen",
    ) -> WorldTruth:
        """Start the episode of a seed; the arguments are those of `sample_scenario`.

        Raises:
            SceneError: unknown difficulty, fault profile, instruction, task or wording; the old
                episode stays.
            WorldError: the arm touches something at the start.
        """
        scenario = sample_scenario(self.scene, seed, difficulty, instruction, tasks, wording)
        self._faults = FaultInjector(self.scene, seed, fault_profile)
        self.scenario = scenario
        self.step_number = 0
        self._holding = False
        mujoco.mj_resetData(self.model, self.data)
        self._place(scenario)
        self.controller.reset(scenario.joints)
        travel = self.scene.arm["finger_travel"]
        self.data.qpos[self._qpos] = [*scenario.joints, travel, travel]
        self.data.ctrl[:] = [*scenario.joints, travel, travel]
        mujoco.mj_forward(self.model, self.data)
        force, body = self._arm_contact()
        if force > 0:
            raise WorldError(f"seed {seed}: the arm touches {body} before it has moved")
        return self._observe(0.0, "")

    def step(self, action: np.ndarray | None) -> WorldTruth:
        """Advance one control period.

        Args:
            action: (7,) as in ActionCommand, finite; None holds the commanded pose.
        """
        self.step_number += 1
        data, model = self.data, self.model
        if action is not None:
            self.controller.command(np.asarray(action, dtype=float), data.site_xpos[self._site])
        fingers = self.controller.move_fingers(float(data.qpos[self._qpos[7:]].mean()))
        before = data.ctrl.copy()
        change = np.array([*self.controller.joint_target, fingers, fingers]) - before
        self._apply_faults()
        substeps = self.scene.control["substeps"]
        largest, hit = 0.0, ""
        for i in range(substeps):
            # As an arm's own controller does: targets that jumped at 30 Hz would shake the hand.
            data.ctrl[:] = before + change * ((i + 1) / substeps)
            self._apply_film()
            mujoco.mj_step(model, data)
            if (i + 1) % (substeps // _FORCE_READINGS) == 0:
                force, body = self._arm_contact()
                if force > largest:
                    largest, hit = force, body
        mujoco.mj_forward(model, data)
        return self._observe(largest, hit)

    def move_to(
        self,
        position: np.ndarray,
        turn: float,
        opening: float,
        held_at: tuple[float, float] | None = None,
    ) -> WorldTruth | None:
        """Put the arm elsewhere without moving there: for training data from anywhere in a task.

        Args:
            position: (3,) of the tool point [m].
            turn: yaw of the hand, from the rest pose [rad].
            opening: of the gripper [0 closed .. 1 open].
            held_at: put the target between the fingers, its centre so far from the tool point
                across their motion and upwards [m].

        Returns:
            The observation, or None if the arm would touch anything but the target there.
        """
        controller, target = self.controller, self.scenario.target
        controller.aim(position, turn)
        controller.opening = opening
        holding = held_at is not None
        half = self.scenario.objects[target].half_size
        finger = half if holding else opening * self.scene.arm["finger_travel"]
        controller.finger_target = finger - (controller.finger_lead if holding else 0.0)
        targets = [*controller.joint_target, controller.finger_target, controller.finger_target]
        self.data.ctrl[:] = targets
        self.data.qpos[self._qpos] = [*controller.joint_target, finger, finger]
        self.data.qvel[:] = 0.0
        mujoco.mj_forward(self.model, self.data)
        if holding:
            address = self.model.joint(target).qposadr[0]
            hand = self.data.site_xmat[self._site].reshape(3, 3)
            place = self.data.site_xpos[self._site] + held_at[0] * hand[:, 0]
            place[2] += held_at[1]
            closing = np.arctan2(*hand[[0, 1], 1])
            turned = [np.cos(-closing / 2), 0.0, 0.0, np.sin(-closing / 2)]
            self.data.qpos[address : address + 7] = [*place, *turned]
            mujoco.mj_forward(self.model, self.data)
        if self._arm_contact()[0] > 0:
            return None
        return self._observe(0.0, "")

    def render(self, camera: str) -> np.ndarray:
        """The camera's image of the present step: (H, W, 3) uint8.

        Raises:
            WorldError: no OpenGL context can be made.
        """
        if self._renderer is None:
            try:
                self._renderer = mujoco.Renderer(
                    self.model, self.scene.cameras["height"], self.scene.cameras["width"]
                )
            except Exception as error:  # MuJoCo raises whatever its GL backend raises
                raise WorldError(
                    f"no OpenGL context for the cameras ({error}): install libegl1 and "
                    "libgl1-mesa-dri and set MUJOCO_GL=egl"
                ) from error
        light = self._faults.active(LIGHTING, self.step_number)
        self.model.light("lamp").diffuse[:] = (
            self._lamp * self.scenario.light * (light.magnitude if light else 1.0)
        )
        ambient = 0.35 * self.scenario.light * (light.magnitude if light else 1.0)
        self.model.vis.headlight.ambient[:] = ambient
        self._renderer.update_scene(self.data, camera)
        image = self._renderer.render()
        return self._faults.spoil(image, self.cameras.index(camera), self.step_number)

    def project(self, camera: str, points: np.ndarray) -> np.ndarray:
        """Where points of the world are in a camera's image, whatever stands before them.

        Args:
            camera: its name.
            points: (N, 3) [m].

        Returns:
            (N, 2) rightwards and downwards from the image's centre, -1 to 1 between its edges;
            NaN for what is outside.
        """
        view = self.data.camera(camera)
        right, down, ahead = ((points - view.xpos) @ view.xmat.reshape(3, 3)).T * [[1], [-1], [-1]]
        half = np.tan(np.radians(self.model.camera(camera).fovy[0]) / 2)
        width_over_height = self.scene.cameras["width"] / self.scene.cameras["height"]
        with np.errstate(divide="ignore", invalid="ignore"):
            seen = np.stack([right / width_over_height, down], 1) / (half * ahead)[:, None]
        return np.where((ahead > 0)[:, None] & (np.abs(seen) <= 1).all(1)[:, None], seen, np.nan)

    def object_half_size(self, name: str) -> float:
        """Half the edge of a present object [m]."""
        return self.scenario.objects[name].half_size

    def _place(self, scenario: Scenario) -> None:
        model, data = self.model, self.data
        for index, name in enumerate(self.scene.objects["names"]):
            joint, geom = model.joint(name), model.geom(name)
            start = scenario.objects.get(name)
            address = joint.qposadr[0]
            present = start is not None
            geom.contype[:] = 2 if present else 0
            geom.conaffinity[:] = 7 if present else 0
            model.body_gravcomp[self._bodies[name]] = 0.0 if present else 1.0
            # What is hidden has its own place in the solver: nothing of an episode before may stay.
            half = start.half_size if present else _HIDDEN_HALF
            geom.friction[0] = self.scene.objects["friction"]
            geom.size[:] = half
            model.geom_rbound[geom.id] = half * np.sqrt(3.0)
            model.geom_aabb[geom.id, 3:] = half
            mass = self.scene.objects["density"] * (2 * half) ** 3
            body = self._bodies[name]
            model.body_mass[body] = mass
            model.body_inertia[body] = mass * (2 * half) ** 2 / 6.0
            if not present:
                data.qpos[address : address + 7] = [*hidden_position(index), 1, 0, 0, 0]
                continue
            tint = self.scene.objects["slippery_tint"] if start.slippery else 0.0
            geom.rgba[:3] = (1.0 - tint) * self._colors[name][:3] + tint
            turn = [np.cos(start.yaw / 2), 0.0, 0.0, np.sin(start.yaw / 2)]
            data.qpos[address : address + 7] = [*start.position, *turn]
        self._place_goal(scenario)
        self._place_obstacle(scenario.obstacle)
        # Subtree masses, inverse weights and bounding volumes follow from masses and sizes.
        mujoco.mj_setConst(model, mujoco.MjData(model))
        model.geom("table").rgba[:3] = np.clip(scenario.table_color, 0, 1)
        model.light("lamp").pos[:] = scenario.light_position
        for name, offset in scenario.camera_offsets.items():
            camera = model.camera(name)
            position, quaternion = self._camera_pose[name]
            camera.pos[:] = position + offset[:3]
            turned = quaternion.copy()
            mujoco.mju_quatIntegrate(turned, offset[3:], 1.0)
            camera.quat[:] = turned

    def _place_goal(self, scenario: Scenario) -> None:
        """Show the disc, the tray, or for stacking neither."""
        x, y = scenario.goal[:2]
        hidden = hidden_position(len(self._bodies) + 1)
        tray = self._mocap["tray"]
        self.data.mocap_pos[tray] = [x, y, 0.0] if scenario.task == PUT_IN else hidden
        self.data.mocap_quat[tray] = [1, 0, 0, 0]
        for name, height in (("goal", 0.0008), ("goal_ring", 0.0005)):
            disc = self.model.geom(name)
            disc.pos[:] = [x, y, height] if scenario.task in (PUT_ON, PUSH) else hidden

    def _place_obstacle(self, obstacle: np.ndarray | None) -> None:
        geom, mocap = self.model.geom(OBSTACLE), self._mocap[OBSTACLE]
        if obstacle is None:
            self.data.mocap_pos[mocap] = hidden_position(len(self._bodies))
            self.data.mocap_quat[mocap] = [1, 0, 0, 0]
            return
        x, y, yaw, half_x, half_y, height = obstacle
        geom.size[:] = [half_x, half_y, height / 2]
        self.model.geom_rbound[geom.id] = np.linalg.norm(geom.size)
        self.model.geom_aabb[geom.id, 3:] = geom.size
        self.data.mocap_pos[mocap] = [x, y, height / 2]
        self.data.mocap_quat[mocap] = [np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)]

    def _apply_faults(self) -> None:
        step, target = self.step_number, self.scenario.target
        self.data.xfrc_applied[:] = 0.0
        push = self._faults.active(ARM_FORCE, step)
        if push:
            self.data.xfrc_applied[self._hand, :3] = push.magnitude * push.direction
        push = self._faults.active(OBJECT_FORCE, step)
        if push:
            self.data.xfrc_applied[self._bodies[target], :3] = push.magnitude * push.direction

    def _apply_film(self) -> None:
        """Let an oily target, or one that slips by a fault, sink between the fingers."""
        scenario, data, model = self.scenario, self.data, self.model
        creep = creep_at(scenario, self._faults, self.step_number)
        friction = float(self.scene.objects["friction"])
        if creep > 0.0 and self._holding:
            body = self._bodies[scenario.target]
            mujoco.mj_objectVelocity(
                model, data, mujoco.mjtObj.mjOBJ_SITE, self._site, self._velocity, 0
            )
            # Of the hand where the target is, as a turning hand moves it, too.
            lever = data.xpos[body] - data.site_xpos[self._site]
            hand = self._velocity[3:] + np.cross(self._velocity[:3], lever)
            across = float(lever @ data.site_xmat[self._site].reshape(3, 3)[:, 0])
            half = scenario.objects[scenario.target].half_size
            first = model.joint(scenario.target).dofadr[0]
            friction = film_friction(
                mass=float(model.body_mass[body]),
                creep=creep / pad_overlap(across, float(lever[2]), half),
                sliding=float(np.linalg.norm(hand - data.qvel[first : first + 3])),
                grip=float(np.abs(data.actuator_force[self._fingers]).mean()),
                stiffness=_FILM_STIFFNESS,
                dry=friction,
            )
        model.geom(scenario.target).friction[0] = friction

    def _arm_contact(self) -> tuple[float, str]:
        """Largest contact force of the arm on anything but the target [N], and on what.

        What the arm holds is part of it where it meets the obstacle.
        """
        data, model = self.data, self.model
        target, obstacle = model.geom(self.scenario.target).id, model.geom(OBSTACLE).id
        largest, body, wrench = 0.0, "", np.zeros(6)
        for i in range(data.ncon):
            first, second = data.contact.geom[i]
            other = second if first in self._arm_geoms else first
            if self._holding and {first, second} == {target, obstacle}:
                other = obstacle
            elif (first in self._arm_geoms) == (second in self._arm_geoms) or other == target:
                continue
            mujoco.mj_contactForce(model, data, i, wrench)
            force = float(np.linalg.norm(wrench[:3]))
            if force > largest:
                largest, body = force, model.geom(int(other)).name
        return largest, body

    def _grasped(self) -> str:
        touched: dict[int, set[str]] = {}
        for i in range(self.data.ncon):
            first, second = (int(g) for g in self.data.contact.geom[i])
            for pad, other in ((first, second), (second, first)):
                if pad in self._pads:
                    touched.setdefault(other, set()).add(self._pads[pad])
        for name in self.scene.objects["names"]:
            if len(touched.get(self.model.geom(name).id, ())) == 2:
                return name
        return ""

    def _observe(self, contact_force: float, contact_body: str) -> WorldTruth:
        data, scenario = self.data, self.scenario
        poses = {}
        for name in scenario.objects:
            address = self.model.joint(name).qposadr[0]
            pose = data.qpos[address : address + 7]
            poses[name] = np.concatenate([pose[:3], pose[4:], pose[3:4]])
        grasped = self._grasped()
        target = poses[scenario.target]
        self._holding = grasped == scenario.target
        if self._holding:
            rest = scenario.objects[scenario.target].half_size
            if target[2] > rest + _LIFTED:
                self._faults.note_lifted(self.step_number)
        quaternion = np.zeros(4)
        mujoco.mju_mat2Quat(quaternion, data.site_xmat[self._site])
        positions = data.qpos[self._qpos].copy()
        return WorldTruth(
            step=self.step_number,
            joint_positions=positions,
            joint_velocities=data.qvel[self._dofs].copy(),
            joint_efforts=data.actuator_force.copy(),
            tool_position=data.site_xpos[self._site].copy(),
            tool_quaternion=np.roll(quaternion, -1),
            object_poses=poses,
            gripper_width=float(positions[7:].sum()),
            gripper_command=self.controller.opening,
            grasped_object=grasped,
            contact_force=contact_force,
            contact_body=contact_body,
            faults=self._faults.begun(self.step_number),
        )
