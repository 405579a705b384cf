# SPDX-License-Identifier: Apache-2.0
"""Plays Isaac Sim for tests: runs the graph's publishers with rclpy and MuJoCo's physics.

It publishes exactly what the graph's data says: topics, namespaces, frames, quality of service.
Stamps of images and joints are off by rounding, as Isaac Sim's are.
"""

import json

import mujoco
import numpy as np
from builtin_interfaces.msg import Time
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, JointState

from salus_isaac.check_graph import node_values
from salus_isaac.feed import ros_profile
from salus_isaac.interface import Profile
from salus_isaac.node_table import NodeTable
from salus_isaac.simulator import FINGER_LINKS, Readings
from salus_ros.images import to_message
from salus_sim.nodes.world_messages import camera_info_message
from salus_sim.world.model import build_model

MESSAGES = {
    "rosgraph_msgs/msg/Clock": Clock,
    "sensor_msgs/msg/JointState": JointState,
    "sensor_msgs/msg/Image": Image,
    "sensor_msgs/msg/CameraInfo": CameraInfo,
}
SPELLED = {"bestEffort": "best_effort", "transientLocal": "transient_local"}
LINKS = {"finger_left": FINGER_LINKS[0], "finger_right": FINGER_LINKS[1], "hand": "panda_hand"}


class FakeIsaac:
    """A Simulator; attributes ending in `_error` make it misbehave.

    With `draw` its images are the embedded world's; otherwise of one shade, the tick's number.
    """

    def __init__(self, scene, draw=False):
        self.scene = scene
        self.draw, self.renderer = draw, None
        self.model = build_model(scene)
        self.data = mujoco.MjData(self.model)
        self.ticks, self.placed, self.effects, self.commands = 0, [], None, []
        self.period_error = 1.0
        self.silent = set()  # topics that are not published
        self.late_images = False
        self.focal_error = 1.0
        self.object_offset = np.zeros(3)
        self.joint_order = None
        self.closed = False

    def open(self, graph, stage):
        self.stage, self.graph, table = stage, graph, NodeTable.load()
        self.publishers = {}
        self.node = None
        for name, node_type in graph.nodes:
            values = node_values(graph, name)
            kind = MESSAGES.get(table.message_type(node_type, values))
            if kind is None:
                continue
            if self.node is None:
                namespace = values["nodeNamespace"]
                self.node = Node("fake_isaac", namespace=namespace, use_global_arguments=False)
            qos = json.loads(values["qosProfile"])
            profile = Profile(
                *(SPELLED.get(qos[k], qos[k]) for k in ("reliability", "durability")), qos["depth"]
            )
            publisher = self.node.create_publisher(kind, values["topicName"], ros_profile(profile))
            self.publishers[values["topicName"]] = (publisher, values.get("frameId", ""))
        names = stage.joint_names
        self.qpos = np.array([self.model.joint(n).qposadr[0] for n in names])
        self.dofs = np.array([self.model.joint(n).dofadr[0] for n in names])
        self.dynamic = [s.name for s in stage.shapes if s.role == "dynamic"]
        self.place(stage.start)

    def place(self, placement):
        self.placed.append(placement)
        model, data = self.model, self.data
        mujoco.mj_resetData(model, data)
        data.qpos[self.qpos] = placement.joints
        data.ctrl[:] = self.targets = placement.joints
        for shape in self.stage.shapes:
            state, geom = placement.shapes[shape.name], model.geom(shape.name)
            geom.rgba[:3], geom.friction[0] = state.color, state.friction
            body = int(geom.bodyid[0])
            if shape.role == "dynamic":
                address = model.joint(shape.name).qposadr[0]
                data.qpos[address : address + 3] = state.position + self.object_offset
                data.qpos[address + 3 : address + 7] = state.quaternion
                geom.size[:] = state.size / 2
                geom.contype[:], geom.conaffinity[:] = (2, 7) if state.present else (0, 0)
                model.body_gravcomp[body] = 0.0 if state.present else 1.0
                model.body_mass[body] = state.mass
                model.body_inertia[body] = state.mass * state.size[0] ** 2 / 6.0
            elif model.body_mocapid[body] >= 0:
                geom.size[:] = state.size / 2
                data.mocap_pos[model.body_mocapid[body]] = state.position - geom.pos
                data.mocap_quat[model.body_mocapid[body]] = state.quaternion
            else:
                geom.pos[:] = state.position
        for name, view in placement.cameras.items():
            model.camera(name).pos[:], model.camera(name).quat[:] = view.position, view.quaternion
        model.light("lamp").pos[:] = placement.lamp
        mujoco.mj_setConst(model, mujoco.MjData(model))
        mujoco.mj_forward(model, data)

    def command(self, targets):
        self.commands.append(np.array(targets))
        self.targets = np.array(targets)

    def apply(self, effects):
        self.effects = effects

    def advance(self):
        self.ticks += 1
        model, data, effects = self.model, self.data, self.effects
        data.xfrc_applied[:] = 0.0
        if effects is not None:
            data.xfrc_applied[model.body("hand").id, :3] = effects.arm_force
            data.xfrc_applied[model.body(effects.target).id, :3] = effects.object_force
            model.geom(effects.target).friction[0] = effects.friction
        self.contacts = {}
        before = data.ctrl.copy()
        for passed in range(1, self.stage.substeps + 1):
            data.ctrl[:] = before + (self.targets - before) * (passed / self.stage.substeps)
            mujoco.mj_step(model, data)
            self._read_contacts()
        mujoco.mj_forward(model, data)
        self._publish()

    def read(self):
        poses = {}
        for name in self.dynamic:
            address = self.model.joint(name).qposadr[0]
            pose = self.data.qpos[address : address + 7]
            poses[name] = np.concatenate([pose[:3], np.roll(pose[3:], -1)])
        hand = self.model.body("hand").id
        pose = np.concatenate([self.data.xpos[hand], np.roll(self.data.xquat[hand], -1)])
        return Readings(poses, pose, self.contacts)

    def idle(self):
        return not self.closed

    def _read_contacts(self):
        shapes = {shape.name for shape in self.stage.shapes}
        wrench = np.zeros(6)
        for index in range(self.data.ncon):
            geoms = [int(g) for g in self.data.contact.geom[index]]
            names = [self.model.geom(g).name for g in geoms]
            mujoco.mj_contactForce(self.model, self.data, index, wrench)
            force = float(np.linalg.norm(wrench[:3]))
            for sensor, other in ((0, 1), (1, 0)):
                name = names[sensor]
                if names[other] not in shapes or name in shapes.difference(self.dynamic):
                    continue  # neither the arm nor what it can hold feels it
                if name not in shapes:
                    body = self.model.body(int(self.model.geom_bodyid[geoms[sensor]])).name
                    name = LINKS.get(body, f"panda_{body}")
                pair = (name, names[other])
                self.contacts[pair] = max(force, self.contacts.get(pair, 0.0))

    def _publish(self):
        time = self.ticks * self.stage.period * self.period_error
        exact, rounded = _time(time), _time(time - 4e-7)
        for topic, (publisher, frame) in self.publishers.items():
            if topic in self.silent:
                continue
            camera = topic.split("/")[1]
            if topic == "isaac/clock":
                publisher.publish(Clock(clock=exact))
            elif topic == "isaac/joint_states":
                publisher.publish(self._joints(exact))
            elif topic.endswith("image_raw"):
                stamp = _time(time - self.stage.period) if self.late_images else rounded
                publisher.publish(to_message(self._image(camera), stamp, frame))
            else:
                info = camera_info_message(self.scene, camera)
                info.header.stamp, info.header.frame_id = rounded, frame
                info.k = np.array(info.k) * self.focal_error
                publisher.publish(info)

    def _image(self, camera):
        height, width = self.stage.height, self.stage.width
        if not self.draw:
            return np.full((height, width, 3), self.ticks % 251, np.uint8)
        if self.renderer is None:
            self.renderer = mujoco.Renderer(self.model, height, width)
        light = self.effects.light if self.effects else 1.0
        self.model.light("lamp").diffuse[:] = 0.6 * light
        self.model.vis.headlight.ambient[:] = 0.35 * light
        self.renderer.update_scene(self.data, camera)
        return self.renderer.render()

    def _joints(self, stamp):
        names = self.stage.joint_names
        order = self.joint_order or list(range(len(names)))
        message = JointState(
            name=[names[i] for i in order],
            position=self.data.qpos[self.qpos][order].tolist(),
            velocity=self.data.qvel[self.dofs][order].tolist(),
            effort=self.data.actuator_force[order].tolist(),
        )
        message.header.stamp = stamp
        return message


def _time(seconds):
    nanoseconds = int(seconds * 1e9)
    return Time(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)
