# SPDX-License-Identifier: Apache-2.0
"""A running predictor node with the policy, the robot and the readers played by the test."""

import time

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from salus_msgs.msg import (
    EpisodeSetup,
    EpisodeStatus,
    FailureForecast,
    ForecastInfo,
    SignalInfo,
    VlaSignals,
)
from salus_msgs.srv import LoadCheckpoint
from sensor_msgs.msg import JointState
from std_msgs.msg import Header

from salus_core.signals import SIGNAL_NAMES, pack_validity
from salus_predictor_node.predictor_node import PredictorNode
from salus_ros.qos import LATCHED, RELIABLE


class Rig:
    def __init__(self, info=None, lockstep=True, **parameters):
        self.node = Node("rig")
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.forecasts, self.info = [], []
        subscribe, publish = self.node.create_subscription, self.node.create_publisher
        subscribe(FailureForecast, "failure_forecast", self.forecasts.append, RELIABLE)
        subscribe(ForecastInfo, "forecast_info", self.info.append, LATCHED)
        self.signals = publish(VlaSignals, "vla_signals", RELIABLE)
        self.signal_info = publish(SignalInfo, "signal_info", LATCHED)
        self.episode = publish(EpisodeStatus, "episode", LATCHED)
        self.setup = publish(EpisodeSetup, "episode_setup", LATCHED)
        self.setup.publish(EpisodeSetup(lockstep=lockstep))
        self.joints = publish(JointState, "joint_states", RELIABLE)
        self.pose = publish(PoseStamped, "tool_pose", RELIABLE)
        if info is not None:
            self.signal_info.publish(info)
        # Each message counts here, and any checkpoint may be loaded.
        parameters = {
            "body_reliability": "reliable",
            "checkpoint_folders": ["/"],
            **parameters,
        }
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        self.predictor = PredictorNode(parameter_overrides=overrides)
        self.started = self.predictor.start()
        if self.started:
            self.executor.add_node(self.predictor)
            publishers = (self.signals, self.joints, self.pose, self.episode, self.signal_info)
            self.until(
                lambda: self.info and all(p.get_subscription_count() for p in publishers), 10.0
            )
            self.until(lambda: self.predictor._lockstep == lockstep)

    def close(self):
        self.executor.shutdown()
        self.predictor.close()

    def until(self, condition, seconds=5.0):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"not within {seconds} s"
            self.executor.spin_once(timeout_sec=0.02)

    def pause(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.02)

    def send(self, step):
        """Signals without content."""
        header = Header(stamp=Time(sec=1 + step))
        self.signals.publish(VlaSignals(header=header, episode=4, step=step))

    def send_step(self, data, row, episode=1, body=True, signals=True):
        """The messages of a recorded step."""
        step = int(data.step[row])
        header = Header(stamp=Time(sec=1000 * episode + step))
        if body:
            self._send_body(header, data.proprioception_names, data.proprioception[row])
        if not signals:
            return
        message = VlaSignals(header=header, episode=episode, step=step)
        for name, value, valid in zip(
            SIGNAL_NAMES, data.signals[row].tolist(), data.valid[row], strict=True
        ):
            setattr(message, name, value if valid else 0.0)
        message.valid = pack_validity(data.valid[row])
        message.action = data.action[row].astype(np.float64)
        message.action_std = data.action_std[row]
        message.embedding = data.embedding[row].astype(np.float32).tolist()
        self.signals.publish(message)

    def _send_body(self, header, names, values):
        found = dict(zip(names, values.tolist(), strict=True))
        joints = [name.partition(".")[2] for name in names if name.startswith("position.")]
        # Another order than in the data, as robots have.
        joints.reverse()
        self.joints.publish(
            JointState(
                header=header,
                name=joints,
                position=[found[f"position.{name}"] for name in joints],
                velocity=[found[f"velocity.{name}"] for name in joints],
            )
        )
        pose = PoseStamped(header=header)
        for axis in "xyz":
            setattr(pose.pose.position, axis, found[f"tool.{axis}"])
        for axis in "xyzw":
            setattr(pose.pose.orientation, axis, found[f"tool.q{axis}"])
        self.pose.publish(pose)

    def load(self, checkpoint):
        client = self.node.create_client(LoadCheckpoint, "predictor/load_checkpoint")
        future = client.call_async(LoadCheckpoint.Request(checkpoint=str(checkpoint)))
        self.until(future.done, 10.0)
        return future.result()
