# SPDX-License-Identifier: Apache-2.0
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import rclpy
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Pose, PoseStamped
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile
from salus_msgs.msg import (
    ActionCommand,
    EpisodeSetup,
    EpisodeStatus,
    FailureForecast,
    ForecastInfo,
    Intervention,
    RecorderStatus,
    SignalInfo,
    Step,
    VlaSignals,
    WorldState,
)
from sensor_msgs.msg import Image, JointState
from std_srvs.srv import Trigger

from salus_core.actions import TOOL_MOTION
from salus_core.signals import SIGNAL_NAMES
from salus_recorder.parameters import JOINT_NAMES
from salus_ros import qos
from salus_ros.images import to_message

HEIGHT, WIDTH = 24, 32
CAMERAS = ("front", "wrist")
OBJECTS = ("red_cube", "obstacle")
TIMEOUT = 30.0


def make_stamp(episode: int, step: int) -> Time:
    nanoseconds = (episode + 1) * 10_000_000_000 + step * 33_333_333
    return Time(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)


def random_of(episode: int, step: int, what: int) -> np.random.Generator:
    return np.random.default_rng((episode, step, what))


class Graph:
    """Publishes all that the other nodes publish, with known content."""

    def __init__(self, forecasts: bool = True):
        self.node = rclpy.create_node("graph", namespace="salus")
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.statuses: list[RecorderStatus] = []
        self.node.create_subscription(
            RecorderStatus, "recorder_status", self.statuses.append, qos.LATCHED
        )
        reliable = {
            "step": Step,
            "joint_states": JointState,
            "tool_pose": PoseStamped,
            "world_state": WorldState,
            "vla_signals": VlaSignals,
            "command": ActionCommand,
            **(
                {"failure_forecast": FailureForecast, "intervention": Intervention}
                if forecasts
                else {}
            ),
        }
        latched = {
            "episode_setup": EpisodeSetup,
            "episode": EpisodeStatus,
            "signal_info": SignalInfo,
            "forecast_info": ForecastInfo,
        }
        deep = QoSProfile(depth=1000)  # nothing is lost if the recorder starts slowly
        self.publishers = {
            **{t: self.node.create_publisher(kind, t, deep) for t, kind in reliable.items()},
            **{t: self.node.create_publisher(kind, t, qos.LATCHED) for t, kind in latched.items()},
            **{
                f"image/{camera}": self.node.create_publisher(
                    Image, f"camera/{camera}/image_raw", qos.image("reliable")
                )
                for camera in CAMERAS
            },
        }
        self.clients = {
            verb: self.node.create_client(Trigger, f"recorder/{verb}")
            for verb in ("pause", "resume", "is_paused")
        }
        self.publish_info()

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()

    def publish_info(
        self, embedding_size: int = 4, policy: str = "test", policy_hash: str = "00"
    ) -> None:
        count = len(SIGNAL_NAMES)
        self.embedding_size = embedding_size
        self.publishers["signal_info"].publish(
            SignalInfo(
                names=list(SIGNAL_NAMES),
                units=["1"] * count,
                definitions=["a definition"] * count,
                available=[True] * count,
                action_names=list(TOOL_MOTION.names),
                action_units=list(TOOL_MOTION.units),
                action_kinds=[str(kind) for kind in TOOL_MOTION.kinds],
                action_scale=[1.0] * 7,
                window=10,
                embedding_size=embedding_size,
                chunk_shape=[2, 3, 7],
                members=2,
                member_kind="checkpoints",
                backend="test",
                policy=policy,
                policy_hash=policy_hash,
                schema_hash=f"{embedding_size}",
                control_period=1 / 30,
            )
        )

    def messages(self, episode: int, step: int) -> dict:
        """All messages of one step."""
        stamp = make_stamp(episode, step)

        def stamped(message):
            message.header.stamp = stamp
            if hasattr(message, "episode"):
                message.episode, message.step = episode, step
            return message

        joints = random_of(episode, step, 0).normal(size=18)
        poses = [Pose() for _ in OBJECTS]
        poses[0].position.x = float(step)
        tool = PoseStamped()
        tool.pose.position.z = 0.1 * step
        messages = {
            "step": Step(),
            "joint_states": JointState(
                name=list(JOINT_NAMES), position=joints[:9], velocity=joints[9:]
            ),
            "tool_pose": tool,
            "world_state": WorldState(
                object_names=OBJECTS[:1],
                object_poses=poses[:1],
                grasped_object="red_cube" if step % 2 else "",
                contact_force=0.5 * step,
                commands_missed=0,
            ),
            "vla_signals": VlaSignals(
                action_volatility=0.0,
                action_magnitude=1.0 + step,
                valid=0b10,
                action=random_of(episode, step, 1).normal(size=7),
                action_std=[0.5] * 7,
                embedding=np.full(self.embedding_size, step, np.float32),
                chunk=np.arange(42, dtype=np.float32) + step,
            ),
            "command": ActionCommand(action=random_of(episode, step, 2).normal(size=7)),
            "failure_forecast": FailureForecast(
                probabilities=np.full(16, 0.25, np.float32), risk=0.5, alarm=step > 3
            ),
            "intervention": Intervention(),
        }
        for camera in CAMERAS:
            messages[f"image/{camera}"] = to_message(
                self.pixels(episode, step, camera), stamp, camera
            )
        return {topic: stamped(message) for topic, message in messages.items()}

    @staticmethod
    def pixels(episode: int, step: int, camera: str) -> np.ndarray:
        random = random_of(episode, step, 3 + CAMERAS.index(camera))
        return random.integers(1, 255, (HEIGHT, WIDTH, 3), np.uint8)

    def publish(self, topic: str, message) -> None:
        if topic in self.publishers:
            self.publishers[topic].publish(message)

    def begin(self, episode: int) -> None:
        setup = EpisodeSetup(
            episode=episode,
            seed=1000 + episode,
            difficulty="easy",
            fault_profile="none",
            instruction="take the red cube",
            target_object="red_cube",
            goal_radius=0.05,
            control_period=1 / 30,
            max_steps=200,
            lockstep=True,
            object_names=list(OBJECTS),
        )
        setup.header.stamp = make_stamp(episode, 0)
        self.publish("episode_setup", setup)
        self.publish("episode", EpisodeStatus(episode=episode, state=EpisodeStatus.STATE_RUNNING))

    def step(self, episode: int, step: int, without=(), order=None, change=None) -> None:
        messages = self.messages(episode, step)
        for topic in order or messages:
            if topic not in without:
                message = messages[topic]
                if change is not None:
                    change(topic, message)
                self.publish(topic, message)
        self.spin(0.005)

    def end(self, episode: int, length: int, state=EpisodeStatus.STATE_SUCCEEDED, **fields) -> None:
        self.publish("episode", EpisodeStatus(episode=episode, step=length, state=state, **fields))

    def wait_until_ready(self) -> RecorderStatus:
        """Wait until the recorder says it is ready and hears everything."""
        status = self.wait_for(lambda status: status.state == RecorderStatus.STATE_READY)
        deadline = time.monotonic() + TIMEOUT
        while any(one.get_subscription_count() == 0 for one in self.publishers.values()):
            assert time.monotonic() < deadline
            self.spin(0.01)
        return status

    def run_episode(self, episode: int, length: int, **fields) -> RecorderStatus:
        """A whole episode, with the observation after the last command; waits for its commit."""
        self.begin(episode)
        for step in range(length):
            self.step(episode, step)
        self.step(episode, length, without=("vla_signals", "command", "intervention"))
        self.end(episode, length, **fields)
        return self.wait_for_commit(episode)

    def wait_for_commit(self, episode: int) -> RecorderStatus:
        return self.wait_for(lambda status: status.episodes and status.last_episode == episode)

    def wait_for(self, condition, process=None) -> RecorderStatus:
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            if self.statuses and condition(self.statuses[-1]):
                return self.statuses[-1]
            self.spin(0.01)
        raise AssertionError(f"waited in vain; last status: {self.statuses[-1:]}")

    def call(self, verb: str) -> Trigger.Response:
        client = self.clients[verb]
        assert client.wait_for_service(TIMEOUT)
        future = client.call_async(Trigger.Request())
        self.executor.spin_until_future_complete(future, TIMEOUT)
        return future.result()

    def spin(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.executor.spin_once(timeout_sec=left)


class Recorder:
    """The recorder's process."""

    def __init__(self, output, **parameters):
        values = {
            "output": output,
            "cameras": list(CAMERAS),
            "image_height": HEIGHT,
            "image_width": WIDTH,
            "min_free_bytes": 0,
            "fsync": False,
            "end_grace": 2.0,
            "body_reliability": "reliable",
            **parameters,
        }
        arguments = []
        for name, value in values.items():
            text = str(value).lower() if isinstance(value, bool) else value
            arguments += ["-p", f"{name}:={text}"]
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "salus_recorder.recorder_node"),
                *("--ros-args", "-r", "__ns:=/salus"),
                *arguments,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait(self) -> tuple[int, str]:
        """Exit code and output."""
        output, _ = self.process.communicate(timeout=TIMEOUT)
        return self.process.returncode, output

    def stop(self, number: int = signal.SIGINT) -> tuple[int, str]:
        self.process.send_signal(number)
        return self.wait()


@pytest.fixture
def graph(ros):
    graph = Graph()
    yield graph
    graph.close()


@pytest.fixture
def start(tmp_path):
    recorders = []

    def start_recorder(output=None, **parameters) -> Recorder:
        recorders.append(Recorder(output or tmp_path / "runs", **parameters))
        return recorders[-1]

    yield start_recorder
    for recorder in recorders:
        if recorder.process.poll() is None:
            recorder.process.kill()
            recorder.process.communicate()
