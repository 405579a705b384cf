# SPDX-License-Identifier: Apache-2.0
"""Isaac Sim behind the methods of the embedded world, so that one node drives both.

The embedded world's compiled model stands beside the simulator as the scene's description: it draws
scenarios, says where everything is put, and solves the inverse kinematics. Its physics never run.
"""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
from builtin_interfaces.msg import Time

from salus_core.messages import to_array
from salus_isaac.feed import JOINTS, Feed, image_key, info_key
from salus_isaac.frames import Frame
from salus_isaac.graph import Graph
from salus_isaac.interface import Interface
from salus_isaac.simulator import (
    FINGER_LINKS,
    LINKS,
    Effects,
    Simulator,
    SimulatorError,
)
from salus_isaac.stage import describe_stage, read_placement
from salus_sim.experts.geometry import yaw
from salus_sim.faults import ARM_FORCE, LIGHTING, OBJECT_FORCE, FaultInjector
from salus_sim.nodes.world_messages import camera_info_message
from salus_sim.scenario import OBSTACLE, Scenario
from salus_sim.scene import Scene
from salus_sim.slip import creep_at, film_friction, pad_overlap
from salus_sim.world.mujoco_world import MujocoWorld, WorldError, WorldTruth

_START_TICKS = 120  # before the first complete frame: shaders compile, endpoints find each other
_START_TIMEOUT = 1.0  # per tick then [s]
_FRAME_TIMEOUT = 10.0  # [s]
_SETTLE_TICKS = 8  # between an episode's placement and its step 0
_FILM_STIFFNESS = 15.0  # see `slip.film_friction`; friction changes once per tick here [1/s]
_SETTLED = 0.004  # an object may rest this far off its place [m]
_INTRINSICS = 0.01  # relative difference of a camera's matrix to the scene's


class IsaacWorld:
    """The embedded world's methods over a simulator and its feed.

    Args:
        scene: the scene's numbers.
        interface: names and order of topics, joints and cameras.
        simulator: opened here.
        graph: of the simulator's own nodes.
        namespace: of the world's node.

    Raises:
        WorldError: the simulator does not start, ticks with another period or shows cameras with
            other intrinsics; the message says what to do.
    """

    def __init__(
        self,
        scene: Scene,
        interface: Interface,
        simulator: Simulator,
        graph: Graph,
        namespace: str,
    ) -> None:
        self.scene, self._interface = scene, interface
        self._description = MujocoWorld(scene)
        self.cameras = self._description.cameras
        self.controller = self._description.controller
        self._simulator = simulator
        self._feed = Feed(interface, namespace)
        self.step_number = 0
        self._holding = False  # the target, at the last observation
        self._offset, self._sliding = np.zeros(3), 0.0  # of the target from the tool [m], [m/s]
        try:
            self._description.reset(0, next(iter(scene.difficulties)), "none")
            simulator.open(graph, describe_stage(self._description))
            self._check_start()
        except SimulatorError as error:
            raise WorldError(str(error)) from error

    @property
    def scenario(self) -> Scenario | None:
        """What the present episode started from."""
        return self._description.scenario

    @property
    def stamp(self) -> Time:
        """The simulator's time of the present step."""
        return Time(sec=self._frame.stamp // 10**9, nanosec=self._frame.stamp % 10**9)

    def idle(self) -> bool:
        """Keep a window alive without passing time; False once the user has closed it."""
        return self._simulator.idle()

    def close(self) -> None:
        """Stop listening; the simulator is its maker's to close."""
        self._feed.close()
        self._description.close()

    def reset(self, seed: int, difficulty: str, fault_profile: str, *args: Any, **kwargs: Any):
        """Start the episode of a seed; further arguments are those of the embedded world's reset.

        Returns:
            The WorldTruth of step 0, after all has settled.

        Raises:
            SceneError: unknown difficulty, fault profile or instruction.
            WorldError: the arm touches something, or an object does not rest where it was put.
        """
        faults = FaultInjector(self.scene, seed, fault_profile)
        self._description.reset(seed, difficulty, fault_profile, *args, **kwargs)
        self._faults, self.step_number, self._holding = faults, 0, False
        placement = read_placement(self._description)
        try:
            self._simulator.place(placement)
            self._simulator.command(placement.joints)
            for _ in range(_SETTLE_TICKS):
                self._simulator.apply(self._effects())
                self._tick()
        except SimulatorError as error:
            raise WorldError(f"seed {seed}: {error}") from error
        self._check_rest(seed)
        return self._observe()

    def step(self, action: np.ndarray | None) -> WorldTruth:
        """Advance one control period.

        Args:
            action: (7,) as in ActionCommand, finite; None holds the commanded pose.

        Raises:
            WorldError: the simulator does not answer.
        """
        self.step_number += 1
        if action is not None:
            self.controller.command(np.asarray(action, dtype=float), self._tool()[0])
        fingers = self.controller.move_fingers(float(self._joints(self._frame)[0][7:].mean()))
        try:
            self._simulator.command(np.array([*self.controller.joint_target, fingers, fingers]))
            self._simulator.apply(self._effects())
            self._tick()
        except SimulatorError as error:
            raise WorldError(f"step {self.step_number}: {error}") from error
        return self._observe()

    def render(self, camera: str) -> np.ndarray:
        """The camera's image of the present step: (H, W, 3) uint8."""
        message = self._frame.messages[image_key(camera)]
        shape = (self._interface.height, self._interface.width)
        image = to_array(message, f"isaac/{camera}/image_raw", shape)
        return self._faults.spoil(image, self.cameras.index(camera), self.step_number)

    def object_half_size(self, name: str) -> float:
        """Half the edge of a present object [m]."""
        return self.scenario.objects[name].half_size

    def _tick(self, timeout: float = 0.0) -> None:
        self._feed.expect()
        self._simulator.advance()
        self._frame = self._feed.collect(timeout or _FRAME_TIMEOUT)
        self._readings = self._simulator.read()

    def _effects(self) -> Effects:
        """What acts during the period that ends at the present step number."""
        step, scenario = self.step_number, self.scenario

        def push(kind: str) -> np.ndarray:
            fault = self._faults.active(kind, step)
            return fault.magnitude * fault.direction if fault else np.zeros(3)

        light = self._faults.active(LIGHTING, step)
        return Effects(
            arm_force=push(ARM_FORCE),
            object_force=push(OBJECT_FORCE),
            target=scenario.target,
            friction=self._film(),
            light=scenario.light * (light.magnitude if light else 1.0),
        )

    def _film(self) -> float:
        """The target's friction: oil lets it sink between the fingers."""
        dry = float(self.scene.objects["friction"])
        creep = creep_at(self.scenario, self._faults, self.step_number)
        if creep == 0.0 or not self._holding:
            return dry
        half, turn = self.object_half_size(self.scenario.target), yaw(self._tool()[1])
        across = float(self._offset[:2] @ [np.cos(turn), np.sin(turn)])
        return film_friction(
            mass=self.scene.objects["density"] * (2 * half) ** 3,
            creep=creep / pad_overlap(across, float(self._offset[2]), half),
            sliding=self._sliding,
            grip=float(np.abs(self._joints(self._frame)[2][7:]).mean()),
            stiffness=_FILM_STIFFNESS,
            dry=dry,
        )

    def _tool(self) -> tuple[np.ndarray, np.ndarray]:
        """Tool point (3,) [m] and quaternion (4,) xyzw, from the hand's pose."""
        pose = self._readings.hand_pose
        offset = np.zeros(3)
        along = np.array([0.0, 0.0, self.scene.arm["tool_offset"]])
        mujoco.mju_rotVecQuat(offset, along, np.roll(pose[3:], 1))
        return pose[:3] + offset, pose[3:].copy()

    def _joints(self, frame: Frame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Positions, velocities and efforts, each (9,) in the interface's order."""
        message = frame.messages[JOINTS]
        names = list(message.name)
        missing = [name for name in self._interface.joint_names if name not in names]
        if missing:
            raise WorldError(
                f"isaac/joint_states lacks {missing[0]}: it has {', '.join(names) or 'no joints'}"
            )
        order = [names.index(name) for name in self._interface.joint_names]
        return tuple(
            np.array(values, dtype=float)[order]
            for values in (message.position, message.velocity, message.effort)
        )

    def _contact(self) -> tuple[float, str]:
        """Largest force of the arm on anything but the target [N], and on what.

        What the arm holds is part of it where it meets the obstacle.
        """
        target = self.scenario.target
        others = {
            pair: force
            for pair, force in self._readings.contacts.items()
            if (pair[0] in LINKS and pair[1] != target)
            or (self._holding and pair == (target, OBSTACLE))
        }
        if not others or max(others.values()) <= 0:
            return 0.0, ""
        pair = max(others, key=others.get)
        return float(others[pair]), pair[1]

    def _grasped(self) -> str:
        contacts = self._readings.contacts
        for name in self.scenario.objects:
            if all(contacts.get((finger, name), 0.0) > 0 for finger in FINGER_LINKS):
                return name
        return ""

    def _observe(self) -> WorldTruth:
        scenario, readings = self.scenario, self._readings
        poses = {name: readings.object_poses[name] for name in scenario.objects}
        grasped = self._grasped()
        force, body = self._contact()
        self._holding = grasped == scenario.target
        lifted = self.scene.referee["lift_height"] + scenario.objects[scenario.target].half_size
        if grasped == scenario.target and poses[scenario.target][2] > lifted:
            self._faults.note_lifted(self.step_number)
        tool, quaternion = self._tool()
        offset = poses[scenario.target][:3] - tool
        moved = np.linalg.norm(offset - self._offset) if self._holding else 0.0
        self._sliding, self._offset = float(moved) / self.scene.control_period, offset
        positions, velocities, efforts = self._joints(self._frame)
        return WorldTruth(
            step=self.step_number,
            joint_positions=positions,
            joint_velocities=velocities,
            joint_efforts=efforts,
            tool_position=tool,
            tool_quaternion=quaternion,
            object_poses=poses,
            gripper_width=float(positions[7:].sum()),
            gripper_command=self.controller.opening,
            grasped_object=grasped,
            contact_force=force,
            contact_body=body,
            faults=self._faults.begun(self.step_number),
        )

    def _check_start(self) -> None:
        """Tick until a frame is complete, then compare period and cameras with the scene."""
        for attempt in range(1, _START_TICKS + 1):
            try:
                self._tick(_START_TIMEOUT)
                break
            except SimulatorError:
                if attempt == _START_TICKS:
                    raise
        first = self._frame.stamp
        self._tick()
        period, wanted = (self._frame.stamp - first) / 1e9, self.scene.control_period
        if abs(period - wanted) > 0.01 * wanted:
            raise SimulatorError(
                f"Isaac Sim's tick lasts {period:.5f} s instead of {wanted:.5f} s: an extension or "
                "setting overrides the time step"
            )
        for camera in self._interface.cameras:
            self._check_camera(camera)

    def _check_camera(self, camera: str) -> None:
        given = self._frame.messages[info_key(camera)]
        wanted = camera_info_message(self.scene, camera)
        focal = float(wanted.k[0])
        difference = np.abs(np.array(given.k) - np.array(wanted.k)).max()
        if (given.width, given.height) != (wanted.width, wanted.height) or (
            difference > _INTRINSICS * focal
        ):
            raise SimulatorError(
                f"camera {camera}: Isaac Sim says {given.width}x{given.height}, K = "
                f"{np.round(given.k, 2).tolist()}; the scene has {wanted.width}x{wanted.height}, "
                f"K = {np.round(wanted.k, 2).tolist()}"
            )

    def _check_rest(self, seed: int) -> None:
        """Refuse an episode whose start is not the one that was asked for."""
        force, body = self._contact()
        if force > 0:
            raise WorldError(f"seed {seed}: the arm touches {body} before it has moved")
        for name, start in self.scenario.objects.items():
            off = np.linalg.norm(self._readings.object_poses[name][:3] - start.position)
            if off > _SETTLED:
                raise WorldError(
                    f"seed {seed}: {name} rests {off * 1e3:.1f} mm off its place after settling: "
                    "did the simulator take its new size?"
                )
