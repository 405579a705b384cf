# SPDX-License-Identifier: Apache-2.0
"""A robot that knows standard messages only: `python fake_robot.py ur5e|aloha|so101`.

It publishes cameras, joint_states and, where it is commanded by its tool, tool_pose, and listens to
its controller's topic; a controller that hears nothing for 100 ms stands still. With `--episodes N`
it plays the person, too: it sets the scene, says `begin`, and its success detector says how each
episode ended, on /salus/episode_command (std_msgs/String).
"""

import argparse
import time
from collections import deque

import numpy as np
import rclpy
from geometry_msgs.msg import PoseStamped, TwistStamped
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from robots import HEIGHT, LATENCY, RATE, ROBOTS, WIDTH, Robot
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Float64MultiArray, String
from task import Task
from trajectory_msgs.msg import JointTrajectory

STALE = 0.1
"""The controller stands still if no command has come for so long [s]."""
PAUSE = 1.0
"""Between episodes [s]; the scene is set in the middle of it."""


class FakeRobot(Node):
    """Drivers, controller and, if asked, the person.

    Args:
        robot: one of ROBOTS.
        episodes: to be made; 0: somebody else begins and ends them.
        seed: of the scenes.
    """

    def __init__(self, robot: Robot, episodes: int, seed: int):
        super().__init__("fake_robot")
        self._robot, self._task = robot, Task(robot, seed)
        self._wanted, self._done = episodes, 0
        self._begun: float | None = None
        self._paused_at, self._is_set = time.monotonic(), True
        self._goal: np.ndarray | None = None
        self._commanded = self._moved = time.monotonic()
        self._late: deque[tuple[float, str, Image]] = deque()
        publish = self.create_publisher
        self._joints = publish(JointState, "joint_states", qos_profile_sensor_data)
        self._pose = publish(PoseStamped, "tool_pose", qos_profile_sensor_data)
        self._cameras = {
            name: publish(Image, f"{name}/image_raw", qos_profile_sensor_data)
            for name in robot.cameras
        }
        self._says = publish(String, "/salus/episode_command", 10)
        kinds = {
            "twist": (TwistStamped, self._on_twist),
            "positions": (Float64MultiArray, self._on_positions),
            "trajectory": (JointTrajectory, self._on_trajectory),
        }
        kind, callback = kinds[robot.takes]
        self.create_subscription(kind, robot.topic, callback, 10)
        self.create_timer(1.0 / robot.joint_rate, self._on_joints)
        self.create_timer(1.0 / RATE, self._on_frame)
        self.create_timer(0.005, self._on_late)
        self.create_timer(0.05, self._on_person)

    @property
    def is_done(self) -> bool:
        """All episodes that were asked for have ended."""
        return bool(self._wanted) and self._done >= self._wanted

    def _on_twist(self, message: TwistStamped) -> None:
        linear, angular = message.twist.linear, message.twist.angular
        velocity = (linear.x, linear.y, linear.z, angular.x, angular.y, angular.z)
        self._goal, self._commanded = np.array(velocity), time.monotonic()

    def _on_positions(self, message: Float64MultiArray) -> None:
        if len(message.data) == len(self._task.state):
            self._goal, self._commanded = np.array(message.data), time.monotonic()

    def _on_trajectory(self, message: JointTrajectory) -> None:
        if not message.points:
            self._goal = None
            return
        places = [message.joint_names.index(name) for name in self._robot.joints]
        self._goal = np.array(message.points[-1].positions)[places]
        self._commanded = time.monotonic()

    def _on_joints(self) -> None:
        now = time.monotonic()
        passed, self._moved = now - self._moved, now
        if self._goal is None or now - self._commanded > STALE:
            self._task.move(np.zeros(len(self._task.state)), passed)
        elif self._robot.by_tool:
            self._task.move(self._goal, passed)
        else:
            self._task.toward(self._goal, passed)
        state = JointState(name=list(self._robot.joints))
        state.header.stamp = self.get_clock().now().to_msg()
        state.position = self._robot.joint_positions(self._task.state).tolist()
        state.velocity = self._robot.joint_positions(self._task.velocity).tolist()
        self._joints.publish(state)
        if self._robot.gripper:
            gripper = JointState(name=[self._robot.gripper], position=[0.4])
            gripper.header.stamp = state.header.stamp
            self._joints.publish(gripper)
        if self._robot.by_tool:
            pose = PoseStamped()
            pose.header.stamp, pose.header.frame_id = state.header.stamp, "base_link"
            x, y, z, *turn = self._task.state.tolist()
            pose.pose.position.x, pose.pose.position.y, pose.pose.position.z = x, y, z
            angle = float(np.linalg.norm(turn))
            half = 0.5 * np.sinc(angle / (2.0 * np.pi))
            rest = pose.pose.orientation
            rest.x, rest.y, rest.z = (half * number for number in turn)
            rest.w = float(np.cos(angle / 2.0))
            self._pose.publish(pose)

    def _on_frame(self) -> None:
        stamp = self.get_clock().now().to_msg()
        for index, name in enumerate(self._cameras):
            frame = Image(height=HEIGHT, width=WIDTH, encoding="rgb8", step=3 * WIDTH)
            frame.header.stamp, frame.header.frame_id = stamp, name
            frame.data = self._task.picture(index).tobytes()
            self._late.append((time.monotonic() + LATENCY, name, frame))

    def _on_late(self) -> None:
        while self._late and self._late[0][0] <= time.monotonic():
            _, name, frame = self._late.popleft()
            self._cameras[name].publish(frame)

    def _on_person(self) -> None:
        now = time.monotonic()
        if not self._wanted or self.is_done:
            return
        if self._begun is None:
            if not self._is_set and now - self._paused_at > PAUSE / 2:
                self._task.begin()
                self._is_set = True
            if now - self._paused_at > PAUSE and self._says.get_subscription_count():
                self._begun = now
                self._say("begin reach the bars")
            return
        said = self._task.outcome(now - self._begun)
        if said:
            self._say(said)
            self._done, self._begun = self._done + 1, None
            self._paused_at, self._is_set = now, False
            self.get_logger().info(f"episode {self._done}/{self._wanted}: {said}")

    def _say(self, text: str) -> None:
        self._says.publish(String(data=text))


def main() -> None:
    """Run until all episodes are made, or until it is interrupted."""
    parser = argparse.ArgumentParser(description="A robot that knows standard messages only.")
    parser.add_argument("robot", choices=sorted(ROBOTS))
    parser.add_argument("--episodes", type=int, default=0, help="play the person for so many")
    parser.add_argument("--seed", type=int, default=0, help="of the scenes")
    options = parser.parse_args()
    rclpy.init()
    node = FakeRobot(ROBOTS[options.robot], options.episodes, options.seed)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        while rclpy.ok() and not node.is_done:
            executor.spin_once(0.1)
        if node.is_done:
            executor.spin_once(1.0)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
