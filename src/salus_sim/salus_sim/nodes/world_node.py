# SPDX-License-Identifier: Apache-2.0
"""The embedded world as a node: cameras, joints, ground truth and clock out, commands in.

In lockstep a control period passes when the command for exactly this episode and step has come,
so results depend on seeds and not on the machine's speed. Otherwise periods pass by the wall
clock, and a period without a command holds the pose.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock as ClockMessage
from salus_msgs.msg import ActionCommand, EpisodeSetup, EpisodeStatus, Step, WorldState
from salus_msgs.srv import ResetEpisode
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Header

from salus_core.actions import TOOL_MOTION
from salus_core.messages import nanoseconds
from salus_core.supervision import LimitCheck, Limits
from salus_ros import qos
from salus_ros.diagnostics import Diagnostics, DiagnosticsParameters
from salus_ros.images import to_message
from salus_ros.managed_node import run
from salus_ros.parameters import ParameterError, declare, parameter
from salus_sim.environment import RUN_ON
from salus_sim.nodes.world_messages import (
    BASE_FRAME,
    camera_info_message,
    episode_setup_message,
    joint_state_message,
    optical_frame,
    pose_message,
    world_state_message,
)
from salus_sim.scenario import sample_scenario
from salus_sim.scene import Scene, SceneError, load_scene
from salus_sim.tasks import WORDINGS
from salus_sim.world.mujoco_world import MujocoWorld, WorldError, WorldTruth

OF_RCLPY = ("/rosout", "/parameter_events")  # topics
MATCH_TIMEOUT, MATCH_STABLE = 10.0, 0.5  # [s]
LATE_STEPS_REAL_TIME = 3  # a command this old is still better than holding the pose
MISSED_STEPS_TOLD = 3  # in a row, in real time
LIMITS = Limits(translation=0.1, rotation=0.6)
"""What the arm can move at most within one control period, about twice what policies ask for."""


@dataclass
class WorldParameters(DiagnosticsParameters):
    """Parameters of the world."""

    scene_file: str = parameter(
        "", "YAML file of the scene; empty: the one of salus_sim.", read_only=True
    )
    cameras: list[str] = parameter(
        ["front", "wrist", "side"], "Cameras to render and publish.", read_only=True
    )
    difficulty: str = parameter("standard", "Difficulty of a reset that names none.")
    fault_profile: str = parameter("none", "Fault profile of a reset that names none.")
    tasks: list[str] = parameter(
        [""], "Tasks from which a seed draws: put_on, put_in, stack, push; empty: all."
    )
    wording: str = parameter(
        "seen",
        "Instructions: 'seen' in training, or 'unseen' combinations of known words.",
        choices=WORDINGS,
    )
    lockstep: bool = parameter(
        True, "Wait for the command of each step; else 30 Hz by the wall clock.", read_only=True
    )
    # What DDS lost while endpoints found each other comes again after 3 s, the period of its
    # heartbeats: to hold the pose by then would make the episode depend on the machine.
    command_timeout: float = parameter(
        6.0,
        "Lockstep: hold the pose for one period when no command has come for so long [s].",
        minimum=0.1,
        maximum=600.0,
    )


class WorldNode(Node):
    """Publishes one observation per control step and advances on commands."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("world", **kwargs)
        self._settings = declare(self, WorldParameters)
        self._world = self._make_world()
        self._diagnostics = Diagnostics(self, self._settings)
        self._episode = 0
        self._running = False
        self._truth: WorldTruth | None = None
        self._limits = LimitCheck(TOOL_MOTION, LIMITS)
        self._command: np.ndarray | None = None  # real time: for the next period
        self._commanded = self._command_step = 0  # its stamp [ns] and step
        self._missed_in_a_row = 0
        self._missed = self._refused = 0
        self._ticks = 0  # control periods since the start: the simulation's time
        self._begun = self._length = 0  # of the episode: its first tick, and its steps
        self._stepped_at = time.monotonic()
        self._make_endpoints()

    def _make_world(self) -> MujocoWorld:
        parameters = self._settings
        try:
            scene = load_scene(parameters.scene_file or None)
            scene.difficulty(parameters.difficulty)
            scene.profile(parameters.fault_profile)
            tasks = tuple(task for task in parameters.tasks if task)
            sample_scenario(scene, 0, parameters.difficulty, "", tasks, parameters.wording)
            world = self._open_world(scene)
            unknown = sorted(set(parameters.cameras) - set(world.cameras))
            if unknown:
                known = ", ".join(world.cameras)
                raise SceneError(f"parameter 'cameras': no camera {unknown[0]!r}: use {known}")
            # The first image costs a GL context; a machine without one should say so now.
            world.reset(0, parameters.difficulty, "none")
            world.render(parameters.cameras[0])
        except (SceneError, WorldError) as error:
            raise ParameterError([str(error)]) from error
        return world

    def _open_world(self, scene: Scene) -> MujocoWorld:
        """The world behind this node; that of another simulator has the same methods."""
        return MujocoWorld(scene)

    def _make_endpoints(self) -> None:
        def publisher(kind: type, topic: str, profile: QoSProfile = qos.RELIABLE):
            return self.create_publisher(kind, topic, profile)

        self._clock_topic = publisher(ClockMessage, "/clock", QoSProfile(depth=1))
        self._step_topic = publisher(Step, "step")
        self._joints = publisher(JointState, "joint_states")
        self._tool = publisher(PoseStamped, "tool_pose")
        self._state_topic = publisher(WorldState, "world_state")
        self._setup = publisher(EpisodeSetup, "episode_setup", qos.LATCHED)
        self._images = {
            name: publisher(Image, f"camera/{name}/image_raw", qos.image())
            for name in self._settings.cameras
        }
        self._infos = {
            name: publisher(CameraInfo, f"camera/{name}/camera_info")
            for name in self._settings.cameras
        }
        self._info_messages = {
            name: camera_info_message(self._world.scene, name) for name in self._infos
        }
        arm = self._world.scene.arm
        self._joint_names = [*arm["joint_names"], *arm["finger_names"]]
        self.create_subscription(ActionCommand, "command", self._on_command, qos.NEWEST)
        self.create_subscription(EpisodeStatus, "episode", self._on_episode, qos.LATCHED)
        self.create_service(ResetEpisode, "reset_episode", self._on_reset)
        wall = Clock(clock_type=ClockType.STEADY_TIME)
        if self._settings.lockstep:
            self._timer = self.create_timer(0.1, self._on_watch, clock=wall)
        else:
            period = self._world.scene.control_period
            self._timer = self.create_timer(period, self._on_period, clock=wall)

    def _on_reset(
        self, request: ResetEpisode.Request, response: ResetEpisode.Response
    ) -> ResetEpisode.Response:
        difficulty = request.difficulty or self._settings.difficulty
        profile = request.fault_profile or self._settings.fault_profile
        response.episode = self._episode
        try:
            truth = self._world.reset(
                request.seed,
                difficulty,
                profile,
                request.instruction,
                tuple(task for task in self._settings.tasks if task),
                self._settings.wording,
            )
        except (SceneError, WorldError) as error:
            if isinstance(error, WorldError):  # with a SceneError the old episode stays
                self._running = False
            response.message = str(error)
            self.get_logger().error(f"reset refused: {error}")
            return response
        if self._episode == 0:
            self._wait_for_subscribers()
        self._episode += 1
        self._truth, self._command, self._missed = truth, None, 0
        self._commanded = self._command_step = self._missed_in_a_row = 0
        self._running = True
        self._ticks += 1
        if self._settings.lockstep and self._episode > 1:
            # Of two runs of the same seeds one hears later of an end than the other.
            self._ticks = max(self._ticks, self._begun + self._length + RUN_ON)
        self._begun, self._length = self._ticks, 0
        scene, scenario = self._world.scene, self._world.scenario
        self._setup.publish(
            episode_setup_message(
                scene, scenario, self._episode, profile, self._settings.lockstep, self._stamp()
            )
        )
        self._publish()
        # The first command has a whole period to come, as every later one.
        self._timer.reset()
        response.success, response.episode = True, self._episode
        return response

    def _wait_for_subscribers(self) -> None:
        """Hold the first episode until who subscribes will also receive its step 0.

        A subscription is known before it is matched, and what is published in between is lost
        to it. The executor stands still meanwhile: matching has threads of its own.
        """
        deadline = time.monotonic() + MATCH_TIMEOUT
        counts, since = None, time.monotonic()
        publishers = [p for p in self.publishers if p.topic_name not in OF_RCLPY]
        while time.monotonic() < deadline:
            found = [
                (p.get_subscription_count(), self.count_subscribers(p.topic_name))
                for p in publishers
            ]
            if found != counts or any(matched < known for matched, known in found):
                counts, since = found, time.monotonic()
            elif time.monotonic() - since > MATCH_STABLE:
                return
            time.sleep(0.05)
        self.get_logger().warning(
            f"subscriptions did not settle within {MATCH_TIMEOUT:g} s (reliability or durability "
            "that does not fit the publisher's?): the first step may not reach everyone"
        )

    def _on_episode(self, message: EpisodeStatus) -> None:
        ended = message.state != EpisodeStatus.STATE_RUNNING
        if message.episode == self._episode and ended:
            self._running = False
            self._length = min(message.step, self._ticks - self._begun)

    def _on_command(self, message: ActionCommand) -> None:
        if not self._running:
            return
        here = (self._episode, self._truth.step)
        tolerance = 0 if self._settings.lockstep else LATE_STEPS_REAL_TIME
        late = here[1] - message.step
        if message.episode != here[0] or not 0 <= late <= tolerance:
            self._refuse(
                f"command for episode {message.episode} step {message.step} refused: "
                f"the world is at episode {here[0]} step {here[1]}"
            )
            return
        if not self._settings.lockstep and nanoseconds(message.header.stamp) < self._commanded:
            self._refuse(
                f"command for step {message.step} refused: a later one, of step "
                f"{self._command_step}, has come"
            )
            return
        reason = self._limits.check(message.action).reason
        if reason:
            self._refuse(
                f"command for step {message.step} refused: {reason.replace('proposed ', '')}"
            )
            return
        action = np.array(message.action)
        if self._settings.lockstep:
            self._advance(action)
        else:
            self._command, self._command_step = action, message.step
            self._commanded = nanoseconds(message.header.stamp)

    def _refuse(self, reason: str) -> None:
        self._refused += 1
        self._diagnostics.drop()
        self._diagnostics.set("commands refused", self._refused)
        self.get_logger().warning(reason, throttle_duration_sec=1.0)

    def _on_watch(self) -> None:
        """Lockstep: a policy that does not answer costs one held period, not the run."""
        timeout = self._settings.command_timeout
        if not self._running or time.monotonic() - self._stepped_at < timeout:
            return
        self._miss()
        self.get_logger().warning(
            f"no command for episode {self._episode} step {self._truth.step} within {timeout:g} s: "
            f"holding the pose (missed so far: {self._missed})"
        )
        self._advance(None)

    def _on_period(self) -> None:
        """Real time: one control period of the wall clock has passed."""
        if not self._running:
            return
        action, self._command = self._command, None
        if action is None:
            self._miss()
        self._tell_missing(action is None)
        self._advance(action)

    def _tell_missing(self, missing: bool) -> None:
        """Say that commands stay away, and that they come again."""
        before, self._missed_in_a_row = self._missed_in_a_row, self._missed_in_a_row + 1
        if not missing:
            self._missed_in_a_row = 0
            if before >= MISSED_STEPS_TOLD:
                self._diagnostics.problem("")
                self.get_logger().info(f"commands come again after {before} held periods")
        elif before + 1 == MISSED_STEPS_TOLD:
            problem = f"no command for {MISSED_STEPS_TOLD} control periods: holding the pose"
            self._diagnostics.problem(problem)
            self.get_logger().error(problem)

    def _miss(self) -> None:
        self._missed += 1
        self._diagnostics.set("commands missed", self._missed)

    def _advance(self, action: np.ndarray | None) -> None:
        self._ticks += 1
        self._truth = self._world.step(action)
        self._publish()

    def _stamp(self) -> Time:
        nanoseconds = round(self._ticks * 1e9 * self._world.scene.control_period)
        return Time(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)

    def _publish(self) -> None:
        truth, stamp = self._truth, self._stamp()
        started = time.monotonic()
        self._stepped_at = started
        header = Header(stamp=stamp, frame_id=BASE_FRAME)
        self._clock_topic.publish(ClockMessage(clock=stamp))
        self._step_topic.publish(Step(header=header, episode=self._episode, step=truth.step))
        self._joints.publish(joint_state_message(truth, self._joint_names, stamp))
        pose = pose_message(truth.tool_position, truth.tool_quaternion)
        self._tool.publish(PoseStamped(header=header, pose=pose))
        self._state_topic.publish(
            world_state_message(truth, self._world.scenario, self._episode, stamp, self._missed)
        )
        for name, publisher in self._images.items():
            # At once, so that receivers unpack it while the next one is being rendered.
            publisher.publish(to_message(self._world.render(name), stamp, optical_frame(name)))
            if self._infos[name].get_subscription_count():
                info = self._info_messages[name]
                info.header.stamp = stamp
                self._infos[name].publish(info)
        self._diagnostics.count(time.monotonic() - started)


def main() -> int:
    """Run the world."""
    return run(WorldNode)
