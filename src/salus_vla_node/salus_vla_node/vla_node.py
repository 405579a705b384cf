# SPDX-License-Identifier: Apache-2.0
"""The VLA node: acts on every step of the running episode and publishes the policy's signals."""

import sys
import time
import traceback
from collections import Counter
from functools import partial
from itertools import count

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.clock import Clock, ClockType
from rclpy.subscription import Subscription
from salus_msgs.msg import (
    ActionCommand,
    EpisodeStatus,
    SceneEstimate,
    SignalInfo,
    Step,
    VlaSignals,
)
from salus_msgs.srv import LoadCheckpoint
from sensor_msgs.msg import CompressedImage, Image, JointState

from salus_core.actions import ActionError
from salus_core.messages import JOINT_STATES, TOOL_POSE, ImageError, fitted
from salus_policies.backends.base import Observation, PolicyOutputError
from salus_ros import qos
from salus_ros.camera_topics import image_type
from salus_ros.managed_node import ConfigureError, ManagedNode, run, when_active
from salus_vla_node.body import Body
from salus_vla_node.cameras import policy_cameras
from salus_vla_node.commands import CommandHistory
from salus_vla_node.loading import load_policy, require_allowed
from salus_vla_node.messages import info_message, scene_message, signals_message
from salus_vla_node.observer import Observer, Told
from salus_vla_node.parameters import VlaParameters
from salus_vla_node.worker import Job, Worker

TICK = 0.02
"""Time between two looks at what waits for late messages [s]."""
THROTTLE = 2.0
"""Least time between two log messages of the same kind [s]."""


class VlaNode(ManagedNode):
    """Managed node `vla`.

    The executor's thread matches messages by stamp and checks them; inference, signals and
    publication happen in a thread of their own.
    """

    parameters_type = VlaParameters
    parameters: VlaParameters

    def __init__(self, **kwargs):
        super().__init__("vla", **kwargs)
        # Beyond configurations and checkpoints: who listens ignores an episode before the last one.
        self._image_episodes = count(1)

    def configure(self) -> None:
        """Loads the weights, creates publishers and subscriptions.

        Raises:
            ConfigureError: The weights cannot be loaded or parameters contradict each other.
        """
        given = self.parameters
        self._body = Body.of(given)
        self._policy = load_policy(given, given.checkpoint, self._body)
        self._commands = CommandHistory()
        self._published: tuple[int, int] | None = None
        self._inference: Worker[Job] | None = None
        self._lost: Counter[str] = Counter()

        self._signals_publisher = self.create_lifecycle_publisher(
            VlaSignals, "vla_signals", qos.RELIABLE
        )
        self._scene_publisher = self.create_lifecycle_publisher(
            SceneEstimate, "scene_estimate", qos.RELIABLE
        )
        self._info_publisher = self.create_lifecycle_publisher(
            SignalInfo, "signal_info", qos.LATCHED
        )
        self._cameras = policy_cameras(self._policy.info.cameras, given.camera_topics)
        self._observer = Observer(
            given,
            self._body,
            self._cameras,
            self._image_episodes,
            Told(
                self._on_observation,
                self._refuse,
                self.diagnostics.drop,
                self._announce_step,
                self._say,
            ),
        )
        self._camera_subscriptions: list[Subscription] = []
        self._subscribe_cameras()
        subscribe = self.create_subscription
        if given.step_source == "topic":
            subscribe(Step, "step", self._on_step, qos.RELIABLE)
        else:
            self._step_publisher = self.create_lifecycle_publisher(Step, "step", qos.RELIABLE)
        profile = qos.body(given.body_reliability)
        for topic, kind in ((JOINT_STATES, JointState), (TOOL_POSE, PoseStamped)):
            if topic in (one.name for one in self._body.inputs):
                subscribe(kind, topic, partial(self._on_body, topic), profile)
        self._command_subscription = subscribe(
            ActionCommand, "command", self._on_command, qos.RELIABLE
        )
        subscribe(EpisodeStatus, "episode", self._on_episode, qos.LATCHED)
        self.create_service(LoadCheckpoint, "~/load_checkpoint", self._on_load_checkpoint)
        # By a clock that goes on where a simulation stands still.
        self.create_timer(TICK, self._on_tick, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def activate(self) -> None:
        """Starts inferring, with the next observation on."""
        self._observer.clear(time.monotonic())
        depth = 1 if self.parameters.step_source == "images" else self.parameters.queue_depth
        self._inference = Worker(self._infer, self._on_thread_error, depth)
        self._announce()

    def deactivate(self) -> None:
        """Stops inferring after the observation at hand."""
        if self._inference is not None:
            self._inference.stop()
            self._inference = None
        self._observer.clear(time.monotonic())
        for source in ("", "observation", "leading camera"):
            self.diagnostics.problem("", source)

    def cleanup(self) -> None:
        """Releases the weights."""
        self._policy = None  # type: ignore[assignment]  # until the next configure

    def _subscribe_cameras(self) -> None:
        """Subscribes to the cameras of the policy, and to no other: images are what costs."""
        for subscription in self._camera_subscriptions:
            self.destroy_subscription(subscription)
        profile = qos.image(self.parameters.image_reliability)
        self._camera_subscriptions = [
            self.create_subscription(
                image_type(camera.topic), camera.topic, partial(self._on_image, name), profile
            )
            for name, camera in self._cameras.items()
        ]

    def _announce(self) -> None:
        info = self._policy.info
        self._info_publisher.publish(
            info_message(
                info,
                self.parameters.window,
                bool(self._body.lower),
                self._body.tool,
                self.get_clock().now().to_msg(),
            )
        )
        self.diagnostics.set("backend", info.backend)
        self.diagnostics.set("policy", info.policy)
        self.diagnostics.set("model hash", info.weights_hash)
        self.diagnostics.set("device", info.device)
        self.get_logger().info(
            f"policy '{info.policy}' ({info.backend}, {info.members} members on {info.device}, "
            f"cameras {', '.join(info.cameras)}, hash {info.weights_hash[:12]})"
        )

    # In the executor's thread.

    @when_active
    def _on_step(self, message: Step) -> None:
        self._observer.step(message, time.monotonic())

    @when_active
    def _on_image(self, camera: str, message: Image | CompressedImage) -> None:
        known, fit = self._cameras[camera], self.parameters.image_fit
        try:
            image = fitted(message, known.topic, known.shape, fit)
        except ImageError as error:
            if isinstance(message, CompressedImage):
                self._lose("unreadable images")
                self._say(str(error))
                return
            image = message  # refused with the observation that it belongs to
        self._observer.image(camera, image, time.monotonic())

    @when_active
    def _on_body(self, topic: str, message: JointState | PoseStamped) -> None:
        self._observer.state(topic, message, time.monotonic())

    @when_active
    def _on_tick(self) -> None:
        self.diagnostics.problem(self._observer.tick(time.monotonic()), "leading camera")
        for name, value in self._observer.figures.items():
            self.diagnostics.set(name, value)

    @when_active
    def _on_command(self, message: ActionCommand) -> None:
        spec = self._policy.info.action
        try:
            spec.check_size(message.action, f"the command of step {message.step}")
        except ActionError as error:
            self._lose("commands refused")
            self.get_logger().error(str(error), throttle_duration_sec=THROTTLE)
            return
        self._commands.add(message.episode, message.step, message.action)

    def _on_episode(self, message: EpisodeStatus) -> None:
        # Not gated: a node activated in the middle of an episode must know that it runs.
        self._observer.status(message, time.monotonic())

    def _on_observation(self, step: Step, position: int, observation: Observation) -> None:
        self.diagnostics.problem("", "observation")
        job = Job(step, position, observation, self._policy, time.perf_counter())
        if self._inference is not None:
            self._drop(self._inference.put(job))

    def _announce_step(self, step: Step) -> None:
        """Tell the recorder which of a robot's images are steps."""
        self._step_publisher.publish(step)

    def _refuse(self, step: Step, kind: str, reason: str) -> None:
        self._lose(kind)
        self.diagnostics.problem(f"no action: {reason}", "observation")
        self.get_logger().error(
            f"no action for episode {step.episode} step {step.step}: {reason}",
            throttle_duration_sec=THROTTLE,
        )

    def _say(self, sentence: str) -> None:
        self.get_logger().warning(sentence, throttle_duration_sec=THROTTLE)

    def _drop(self, number: int) -> None:
        if number:
            self.diagnostics.drop(number)
            self._say("inference is slower than the observations come: dropped the oldest")

    def _lose(self, reason: str) -> None:
        self._lost[reason] += 1
        self.diagnostics.set(reason, self._lost[reason])
        self.diagnostics.drop()

    def _on_load_checkpoint(
        self, request: LoadCheckpoint.Request, response: LoadCheckpoint.Response
    ) -> LoadCheckpoint.Response:
        # Blocks the executor while it loads: observations of that time are lost, and counted. Not
        # every executor of rclpy runs coroutines as callbacks of services.
        try:
            require_allowed(self.parameters, request.checkpoint)
            policy = load_policy(self.parameters, request.checkpoint, self._body)
        except Exception as error:
            # Whatever a backend's library throws, the policy in use goes on.
            reason = str(error) if isinstance(error, ConfigureError) else repr(error)
            response.message = f"{reason}; '{self._policy.info.policy}' stays in use"
            self.get_logger().error(response.message)
        else:
            self._policy = policy
            self._cameras = policy_cameras(policy.info.cameras, self.parameters.camera_topics)
            self._observer.use(self._cameras, time.monotonic())
            self._subscribe_cameras()
            if self.is_active:
                self._announce()
            response.success = True
        response.hash = self._policy.info.weights_hash
        return response

    # In the inference thread.

    def _infer(self, job: Job) -> None:
        episode, step = job.step.episode, job.step.step
        try:
            output, signals = job.policy.process(
                job.position, job.observation, lambda _, before: self._command_of(episode, before)
            )
            message = signals_message(job.step, output, signals)
        except PolicyOutputError as error:
            self._lose("policy failures")
            self.diagnostics.problem(f"no action: {error}")
            self.get_logger().error(
                f"no action for episode {episode} step {step}: {error}",
                throttle_duration_sec=THROTTLE,
            )
            return
        self.diagnostics.problem("")
        message.latency = time.perf_counter() - job.received
        if self.is_active:
            if job.policy.scene is not None:
                # Before the signals: who acts on both need not wait.
                self._scene_publisher.publish(scene_message(job.step, job.policy.scene))
            self._signals_publisher.publish(message)
            self._published = (episode, step)
            self.diagnostics.count(message.latency)

    def _command_of(self, episode: int, step: int) -> np.ndarray | None:
        # Nobody executes a proposal that was not made, or where nobody sends commands: then there
        # is nothing to wait for.
        proposed = self._published == (episode, step)
        sent = proposed and self.count_publishers(self._command_subscription.topic_name) > 0
        return self._commands.get(episode, step, self.parameters.command_wait if sent else 0.0)

    def _on_thread_error(self, error: BaseException) -> None:
        self.fatal(f"inference failed:\n{''.join(traceback.format_exception(error))}")


def main() -> int:
    """Runs the node; returns its exit code."""
    return run(VlaNode)


if __name__ == "__main__":
    sys.exit(main())
