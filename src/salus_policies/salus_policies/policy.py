# SPDX-License-Identifier: Apache-2.0
"""A loaded policy with its signals, for a node and for the episode loop; free of ROS."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from salus_core.episode_store.schema import Camera, RunSchema
from salus_core.runtime import SceneEstimate
from salus_core.runtime.monitor import step_input, tool_translation
from salus_core.signals import (
    SIGNAL_DEFINITIONS,
    SIGNAL_NAMES,
    SIGNAL_UNITS,
    SignalComputer,
    SignalValues,
    available_signals,
    schema_hash,
)
from salus_policies.backends.base import (
    LoadOptions,
    Observation,
    PolicyBackend,
    PolicyInfo,
    PolicyOutput,
    PolicyOutputError,
)
from salus_policies.backends.registry import backend_class
from salus_policies.robot import RobotDescription

GetCommand = Callable[[int, int], np.ndarray | None]


class MonitoredPolicy:
    """Acts and computes the signals of every step.

    Args:
        backend: The loaded policy.
        window: Steps of the windowed signals.
        joint_lower: (J,) lower joint limits [rad]; empty: not known.
        joint_upper: (J,) upper joint limits [rad].
    """

    def __init__(
        self,
        backend: PolicyBackend,
        window: int,
        joint_lower: list[float],
        joint_upper: list[float],
    ):
        self._backend = backend
        self.info: PolicyInfo = backend.info
        self._signals = signal_computer(self.info, window, joint_lower, joint_upper)
        self._translation = tool_translation(self.info.action)
        head = backend.scene_head
        self._scene = None if head is None else head.stream()
        self.scene: SceneEstimate | None = None
        """What the last step's scene is estimated to be; None: nobody estimates it."""
        self._episode: int | None = None
        self._step = -1

    @classmethod
    def load(
        cls,
        name: str,
        checkpoint: str,
        options: LoadOptions,
        window: int,
        joint_lower: list[float],
        joint_upper: list[float],
        robot: RobotDescription | None = None,
    ) -> "MonitoredPolicy":
        """Loads a backend's checkpoint.

        Args:
            name: Of the backend.
            checkpoint: As PolicyBackend.load takes it.
            options: Device, precision, threads.
            window: Steps of the windowed signals.
            joint_lower: (J,) lower joint limits [rad].
            joint_upper: (J,) upper joint limits [rad].
            robot: To fit the policy to; None: for policies that need none.

        Returns:
            The policy, before its first episode.

        Raises:
            BackendError: It cannot be loaded, or does not fit the robot.
        """
        backend = backend_class(name).load(checkpoint, options)
        if robot is not None:
            backend.bind(robot)
        return cls(backend, window, joint_lower, joint_upper)

    def process(
        self, episode: int, observation: Observation, get_command: GetCommand
    ) -> tuple[PolicyOutput, SignalValues]:
        """Acts on one observation.

        Args:
            episode: Its episode; another one than before, or a step that is not later, resets
                policy and signals.
            observation: With the number of its step.
            get_command: Gives the command executed from (episode, step) on, or None; called after
                inference, so that waiting for the command costs as little as possible.

        Returns:
            The checked output and the signals.

        Raises:
            PolicyOutputError: The policy gave no usable action.
        """
        if episode != self._episode or observation.step <= self._step:
            self._backend.reset()
            self._signals.reset()
            if self._scene is not None:
                self._scene.reset()
            self._episode = episode
        self._step = observation.step
        output = self._backend.act(observation)
        self.info.check(output)
        if self._scene is not None:
            self.scene = self._scene.update(observation, output.latent)
        command = None
        if observation.step > 0 and self._translation is not None:
            command = get_command(episode, observation.step - 1)
        inputs = step_input(observation, output, command, self._translation)
        try:
            return output, self._signals.update(inputs)
        except ValueError as error:
            raise PolicyOutputError(str(error)) from error


class BackendPolicy:
    """A backend as a policy of the episode loop; see `salus_core.runtime.Policy`.

    Args:
        backend: Loaded, and bound to the robot if it needs one.
        lanes: Environments that it drives.
        joints: Places, among the observation's joints, of the policy's own; None: all.

    Raises:
        BackendError: It drives fewer environments.
    """

    def __init__(self, backend: PolicyBackend, lanes: int = 1, joints: Sequence[int] | None = None):
        self.info: PolicyInfo = backend.info
        self._backends = [backend, *(backend.another() for _ in range(lanes - 1))]
        self._joints = None if joints is None else list(joints)

    def reset(self, lane: int) -> None:
        """See Policy."""
        self._backends[lane].reset()

    def act(self, observations: Mapping[int, Observation]) -> dict[int, PolicyOutput]:
        """See Policy.

        Raises:
            PolicyOutputError: The policy gave no usable action.
        """
        backends = [self._backends[lane] for lane in observations]
        seen = [self._view(observation) for observation in observations.values()]
        outputs = type(backends[0]).act_together(backends, seen)
        for output in outputs:
            self.info.check(output)
        return dict(zip(observations, outputs, strict=True))

    def _view(self, observation: Observation) -> Observation:
        """What the policy gets: its own cameras and joints."""
        positions, velocities = observation.joint_positions, observation.joint_velocities
        if self._joints is not None:
            positions = positions[self._joints]
            velocities = None if velocities is None else velocities[self._joints]
        return replace(
            observation,
            images={name: observation.images[name] for name in self.info.cameras},
            joint_positions=positions,
            joint_velocities=np.zeros_like(positions) if velocities is None else velocities,
        )


def signal_computer(
    info: PolicyInfo, window: int, joint_lower: Sequence[float], joint_upper: Sequence[float]
) -> SignalComputer:
    """The signals of one environment.

    Args:
        info: Of the policy.
        window: Steps of the windowed signals.
        joint_lower: (J,) lower limits of the policy's joints [rad]; empty: not known.
        joint_upper: (J,) upper limits of the same [rad].
    """
    return SignalComputer(
        info.action_scale,
        window=window,
        member_kind=info.member_kind,
        latent_statistics=info.latent_statistics,
        joint_lower=joint_lower or None,
        joint_upper=joint_upper or None,
    )


def run_schema(
    info: PolicyInfo,
    window: int,
    control_period: float,
    object_names: Sequence[str],
    joint_names: Sequence[str],
    cameras: Sequence[Camera],
    has_joint_limits: bool = True,
    has_tool_pose: bool = True,
) -> RunSchema:
    """Describes a run of a policy, as a recorder does from SignalInfo and EpisodeSetup.

    Args:
        info: Of the policy.
        window: Steps of the windowed signals.
        control_period: Time per step [s].
        object_names: Every object that ground truth may name.
        joint_names: Of the recorded joints.
        cameras: Whose images are stored.
        has_joint_limits: The limits of the policy's joints are known.
        has_tool_pose: The robot tells where its tool is.
    """
    return RunSchema(
        control_period=control_period,
        signal_names=SIGNAL_NAMES,
        signal_units=SIGNAL_UNITS,
        signal_definitions=SIGNAL_DEFINITIONS,
        signal_available=tuple(
            bool(available)
            for available in available_signals(
                members=info.members,
                member_kind=info.member_kind,
                has_distribution=info.has_distribution,
                has_latent=info.embedding_size > 0,
                has_latent_statistics=info.latent_statistics is not None,
                has_joint_limits=has_joint_limits,
                has_tool_motion=has_tool_pose and info.has_tool_motion,
            )
        ),
        cameras=tuple(cameras),
        joint_names=tuple(joint_names),
        object_names=tuple(object_names),
        # Rounded as in SignalInfo, so that runs of both kinds have equal attributes.
        action=replace(
            info.action, scale=tuple(float(np.float32(scale)) for scale in info.action_scale)
        ),
        policy_action=None if info.policy_action is None else replace(info.policy_action, scale=()),
        signal_window=window,
        embedding_size=info.embedding_size,
        chunk_shape=info.chunk_shape,
        backend=info.backend,
        policy=info.policy,
        policy_hash=info.weights_hash,
        members=info.members,
        member_kind=info.member_kind,
        schema_hash=schema_hash(
            window=window,
            embedding_size=info.embedding_size,
            chunk_shape=info.chunk_shape,
            members=info.members,
            member_kind=info.member_kind,
            action_names=info.action.names,
            action_units=info.action.units,
            action_scale=info.action.scale,
        ),
    )
