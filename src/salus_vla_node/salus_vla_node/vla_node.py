# SPDX-License-Identifier: Apache-2.0
"""The VLA node: acts on every step of the running episode and publishes the policy's signals."""

import sys
import time
import traceback
from collections import Counter, deque
from functools import partial
from itertools import count

import numpy as np
from geometry_msgs.msg import PoseStamped
from salus_msgs.msg import ActionCommand, EpisodeStatus, SignalInfo, Step, VlaSignals
from salus_msgs.srv import LoadCheckpoint
from sensor_msgs.msg import Image, JointState

from salus_core.actions import ActionError
from salus_policies.backends.base import BackendError, LoadOptions, PolicyOutputError
from salus_policies.policy import MonitoredPolicy
from salus_policies.robot import RobotDescription, read_urdf
from salus_ros import qos
from salus_ros.images import ImageError
from salus_ros.managed_node import ConfigureError, ManagedNode, run, when_active
from salus_ros.stepsync import Observation as StampedMessages
from salus_ros.stepsync import StepSync
from salus_ros.validity import InvalidInputError
from salus_vla_node.commands import CommandHistory
from salus_vla_node.image_steps import ImageStepSync
from salus_vla_node.inputs import Job, build_observation, camera_topics
from salus_vla_node.messages import info_message, signals_message
from salus_vla_node.parameters import JOINT_STATES, TOOL_POSE, VlaParameters
from salus_vla_node.worker import Worker

THROTTLE = 2.0
"""Least time between two log messages of the same kind [s]."""


class VlaNode(ManagedNode):
    """Managed node `vla`.

    The executor's thread matches messages by stamp and checks them; inference, signals and
    publication happen in a thread of their own.
    """

    parameters_type = VlaParameters

    def __init__(self, **kwargs):
        super().__init__("vla", **kwargs)
        # Beyond configurations and checkpoints: who listens ignores an episode before the last one.
        self._image_episodes = count(1)

    def configure(self) -> None:
        """Loads the weights, creates publishers and subscriptions.

        Raises:
            ConfigureError: The weights cannot be loaded or parameters contradict each other.
        """
        self._read_joint_parameters()
        self._policy = self._load(self.parameters.checkpoint)
        self._commands = CommandHistory()
        self._status: EpisodeStatus | None = None
        self._waiting: deque[StampedMessages] = deque()
        self._published: tuple[int, int] | None = None
        self._inference: Worker[Job] | None = None
        self._lost: Counter[str] = Counter()

        self._signals_publisher = self.create_lifecycle_publisher(
            VlaSignals, "vla_signals", qos.RELIABLE
        )
        self._info_publisher = self.create_lifecycle_publisher(
            SignalInfo, "signal_info", qos.LATCHED
        )
        self._camera_subscriptions = []
        self._subscribe_cameras()
        subscribe = self.create_subscription
        if self.parameters.step_source == "topic":
            subscribe(Step, "step", self._on_step, qos.RELIABLE)
        else:
            self._check_image_steps()
        body = qos.body(self.parameters.body_reliability)
        for topic, kind in ((JOINT_STATES, JointState), (TOOL_POSE, PoseStamped)):
            if topic in self.parameters.inputs:
                subscribe(kind, topic, partial(self._on_input, topic), body)
        self._command_subscription = subscribe(
            ActionCommand, "command", self._on_command, qos.RELIABLE
        )
        subscribe(EpisodeStatus, "episode", self._on_episode, qos.LATCHED)
        self.create_service(LoadCheckpoint, "~/load_checkpoint", self._on_load_checkpoint)

    def activate(self) -> None:
        """Starts inferring, with the next observation on."""
        self._sync.clear()
        self._waiting.clear()
        self._inference = Worker(self._infer, self._on_thread_error, self.parameters.queue_depth)
        self._announce()

    def deactivate(self) -> None:
        """Stops inferring after the observation at hand."""
        if self._inference is not None:
            self._inference.stop()
            self._inference = None

    def cleanup(self) -> None:
        """Releases the weights."""
        self._policy = None

    def _check_image_steps(self) -> None:
        if not self.parameters.instruction:
            raise ConfigureError("step_source 'images' needs the parameter 'instruction'")
        if not self._policy.info.cameras:
            raise ConfigureError(
                f"step_source 'images': policy '{self._policy.info.policy}' looks through no "
                "camera; publish the topic step and use step_source 'topic'"
            )

    def _read_joint_parameters(self) -> None:
        """Takes the joints and their limits; a robot of which none has a limit has no limits."""
        given = self.parameters
        joints = filter(None, given.joint_names) if JOINT_STATES in given.inputs else ()
        self._joint_names = tuple(joints)
        limits = {name: tuple(getattr(given, name)) for name in ("joint_lower", "joint_upper")}
        if not self._joint_names or not np.isfinite(sum(limits.values(), ())).any():
            self._joint_limits = dict.fromkeys(limits, ())
            return
        for name, values in limits.items():
            if len(values) != len(self._joint_names):
                raise ConfigureError(
                    f"parameter '{name}' has {len(values)} values for {len(self._joint_names)} "
                    "joint_names"
                )
        for name, low, high in zip(self._joint_names, *limits.values(), strict=True):
            if not low < high:
                raise ConfigureError(f"joint_lower {low} is not below joint_upper {high}: {name}")
        self._joint_limits = limits

    def _load(self, checkpoint: str) -> MonitoredPolicy:
        given = self.parameters
        try:
            robot = RobotDescription(
                self._joint_names,
                *self._joint_limits.values(),
                read_urdf(given.robot_description),
                given.tool_link,
            )
            policy = MonitoredPolicy.load(
                given.backend,
                checkpoint,
                LoadOptions(given.device, given.precision, given.threads, given.policy_config),
                given.window,
                *map(list, self._joint_limits.values()),
                robot,
            )
            camera_topics(policy.info.cameras, given.camera_topics)
        except (BackendError, ValueError) as error:
            raise ConfigureError(str(error)) from error
        return policy

    def _subscribe_cameras(self) -> None:
        """Subscribes to the cameras of the policy, and to no other: images are what costs."""
        for subscription in self._camera_subscriptions:
            self.destroy_subscription(subscription)
        self._cameras = camera_topics(self._policy.info.cameras, self.parameters.camera_topics)
        self._waiting.clear()
        self._sync = self._make_sync([*self._cameras, *filter(None, self.parameters.inputs)])
        profile = qos.image(self.parameters.image_reliability)
        self._camera_subscriptions = [
            self.create_subscription(Image, camera.topic, partial(self._on_input, name), profile)
            for name, camera in self._cameras.items()
        ]

    def _make_sync(self, keys: list[str]) -> StepSync | ImageStepSync:
        if self.parameters.step_source == "topic":
            return StepSync(keys, self._on_complete, self._on_incomplete)
        return ImageStepSync(
            next(iter(self._cameras)),
            keys,
            lambda: self.parameters.stamp_tolerance,
            self._on_complete,
            self._on_incomplete,
            self._image_episodes,
        )

    def _announce(self) -> None:
        info = self._policy.info
        self._info_publisher.publish(
            info_message(
                info,
                self.parameters.window,
                any(self._joint_limits.values()),
                TOOL_POSE in self.parameters.inputs,
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
        self._sync.add_step(message)

    @when_active
    def _on_input(self, key: str, message: Image | JointState | PoseStamped) -> None:
        self._sync.add(key, message)

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
        self._status = message
        waiting, self._waiting = self._waiting, deque()
        for messages in waiting:
            if self.is_active and messages.step.episode >= message.episode:
                self._on_complete(messages)

    def _on_complete(self, messages: StampedMessages) -> None:
        if self.parameters.step_source == "images":
            self._enqueue(messages, self.parameters.instruction)
            return
        status, step = self._status, messages.step
        if status is None or step.episode > status.episode:
            self._wait_for_status(messages)
        elif step.episode < status.episode:
            # Late, unless a world that was started anew counts its episodes from the beginning.
            if step.step == 0:
                self._wait_for_status(messages)
        elif status.state == EpisodeStatus.STATE_RUNNING or step.step <= status.step:
            # The last step of an episode is acted on however early its end becomes known, so that
            # recordings do not depend on the order of arrival.
            self._enqueue(messages, self.parameters.instruction or status.instruction)

    def _wait_for_status(self, messages: StampedMessages) -> None:
        if len(self._waiting) == self.parameters.queue_depth:
            self._waiting.popleft()
            self.diagnostics.drop()
        self._waiting.append(messages)

    def _enqueue(self, messages: StampedMessages, instruction: str) -> None:
        received = time.perf_counter()
        step = messages.step
        try:
            observation = build_observation(
                step.step,
                messages.messages,
                self._cameras,
                self._joint_names,
                list(filter(None, self.parameters.finger_joint_names)),
                instruction,
            )
        except (ImageError, InvalidInputError) as error:
            self._lose("invalid inputs")
            self.get_logger().error(
                f"no action for episode {step.episode} step {step.step}: {error}",
                throttle_duration_sec=THROTTLE,
            )
            return
        self._drop(self._inference.put(Job(step, observation, self._policy, received)))

    def _on_incomplete(self, messages: StampedMessages, missing: list[str]) -> None:
        self._lose("incomplete observations")
        where = f"step {messages.step.step}" if messages.step else "an observation"
        self.get_logger().warning(
            f"no action for {where}: nothing with its stamp came on {', '.join(missing)}",
            throttle_duration_sec=THROTTLE,
        )

    def _drop(self, number: int) -> None:
        if number:
            self.diagnostics.drop(number)
            self.get_logger().warning(
                "inference is slower than the observations come: dropped the oldest",
                throttle_duration_sec=THROTTLE,
            )

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
            policy = self._load(request.checkpoint)
        except Exception as error:
            # Whatever a backend's library throws, the policy in use goes on.
            reason = str(error) if isinstance(error, ConfigureError) else repr(error)
            response.message = f"{reason}; '{self._policy.info.policy}' stays in use"
            self.get_logger().error(response.message)
        else:
            self._policy = policy
            self._subscribe_cameras()
            if self.is_active:
                self._sync.clear()
                self._announce()
            response.success = True
        response.hash = self._policy.info.weights_hash
        return response

    # In the inference thread.

    def _infer(self, job: Job) -> None:
        episode, step = job.step.episode, job.step.step
        if not job.policy.is_next(episode, step):
            return
        try:
            output, signals = job.policy.process(episode, job.observation, self._command_of)
        except PolicyOutputError as error:
            self._lose("policy failures")
            self.diagnostics.problem(f"no action: {error}")
            self.get_logger().error(
                f"no action for episode {episode} step {step}: {error}",
                throttle_duration_sec=THROTTLE,
            )
            return
        self.diagnostics.problem("")
        message = signals_message(job.step, output, signals)
        message.latency = time.perf_counter() - job.received
        if self.is_active:
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
