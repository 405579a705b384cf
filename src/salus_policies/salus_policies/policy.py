"""A loaded policy with its signals: one environment's state, free of ROS."""

from collections.abc import Callable

import numpy as np

from salus_core.actions import ActionKind
from salus_core.signals import SignalComputer, SignalValues, StepInput
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
        self._signals = SignalComputer(
            self.info.action_scale,
            window=window,
            member_kind=self.info.member_kind,
            latent_statistics=self.info.latent_statistics,
            joint_lower=joint_lower or None,
            joint_upper=joint_upper or None,
        )
        # Of two tools nobody says which one the tool pose is.
        self._translation = (
            self.info.action.indices(ActionKind.TOOL_TRANSLATION)
            if self.info.has_tool_motion
            else None
        )
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

    def is_next(self, episode: int, step: int) -> bool:
        """Whether a step is one to act on: after the last one, or the start of an episode.

        A world that was started anew counts its episodes from the beginning, too: so step 0 is
        always a start.
        """
        return episode != self._episode or step > self._step or step == 0

    def process(
        self, episode: int, observation: Observation, get_command: GetCommand
    ) -> tuple[PolicyOutput, SignalValues]:
        """Acts on one observation.

        Args:
            episode: Its episode; another one than before, or step 0, resets policy and signals.
            observation: With the number of its step.
            get_command: Gives the command executed from (episode, step) on, or None; called after
                inference, so that waiting for the command costs as little as possible.

        Returns:
            The checked output and the signals.

        Raises:
            PolicyOutputError: The policy gave no usable action.
        """
        if episode != self._episode or observation.step == 0:
            self._backend.reset()
            self._signals.reset()
            self._episode = episode
        self._step = observation.step
        output = self._backend.act(observation)
        self.info.check(output)
        command = None
        if observation.step > 0 and self._translation is not None:
            command = get_command(episode, observation.step - 1)
        inputs = StepInput(
            step=observation.step,
            action=output.action,
            member_means=output.member_means,
            member_stds=output.member_stds,
            token_probabilities=output.token_probabilities,
            latent=output.latent,
            chunks=output.chunks,
            tool_position=observation.tool_position,
            commanded_translation=None if command is None else command[self._translation],
            joint_positions=observation.joint_positions,
        )
        try:
            return output, self._signals.update(inputs)
        except ValueError as error:
            raise PolicyOutputError(str(error)) from error
