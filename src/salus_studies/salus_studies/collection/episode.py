"""Episodes in one process: the code of the nodes, called one after the other without a graph.

The messages that the nodes would send are made and handed over as they are, so every conversion and
check is the nodes' own. Ground truth goes through serialization: a subscriber gets its `float32`
fields rounded, and so does whoever reads it here.
"""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import yaml
from ament_index_python.packages import get_package_share_directory
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped
from rclpy.serialization import deserialize_message, serialize_message
from salus_msgs.msg import (
    ActionCommand,
    EpisodeSetup,
    EpisodeStatus,
    Intervention,
    Step,
    VlaSignals,
    WorldState,
)
from std_msgs.msg import Header

from salus_core.actions import TOOL_MOTION
from salus_core.episode_store import Camera, EpisodeWriter, RunSchema
from salus_core.failures import FailureType
from salus_core.supervision import LimitCheck, Limits
from salus_policies.backends.base import LoadOptions
from salus_policies.policy import MonitoredPolicy
from salus_policies.robot import RobotDescription, read_urdf
from salus_recorder.assembler import StepMessages
from salus_recorder.parameters import RecorderParameters
from salus_recorder.rows import IMAGE, make_end, make_row, make_schema, make_start
from salus_ros.images import to_message
from salus_ros.stepsync import nanoseconds
from salus_sim.nodes.referee_messages import make_referee, truth_of
from salus_sim.nodes.world_messages import (
    BASE_FRAME,
    episode_setup_message,
    joint_state_message,
    optical_frame,
    pose_message,
    world_state_message,
)
from salus_sim.referee import Verdict
from salus_sim.scene import load_scene
from salus_sim.world.mujoco_world import MujocoWorld, WorldError, WorldTruth
from salus_studies.collection.settings import RUN_HASHES, DatasetError, Settings
from salus_supervisor.supervisor_node import SupervisorParameters
from salus_vla_node.inputs import JOINT_STATES, TOOL_POSE, build_observation, camera_topics
from salus_vla_node.messages import info_message, signals_message
from salus_vla_node.parameters import VlaParameters

T = TypeVar("T")


@dataclass(frozen=True)
class EpisodeReport:
    """What became of one episode.

    Attributes:
        seed: its seed.
        failure: how it failed; NONE: success.
        steps: rows that were written.
        fault_before: an injected fault had begun at or before the onset of the failure.
    """

    seed: int
    failure: FailureType
    steps: int
    fault_before: bool


class EpisodeStoppedError(Exception):
    """The episode was given up because collecting was to stop."""


class SeedRefusedError(Exception):
    """The world cannot start the episode of a seed."""


def over_the_wire(message: T) -> T:
    """A message as a subscriber gets it."""
    return deserialize_message(serialize_message(message), type(message))


def node_parameters(node: str, parameters: T) -> T:
    """Give an object of a node's parameters the values of collect.yaml."""
    path = Path(get_package_share_directory("salus")) / "config" / "collect.yaml"
    given = yaml.safe_load(path.read_text()).get(f"/**/{node}", {}).get("ros__parameters", {})
    return replace(parameters, **given)


class EpisodeCollector:
    """World, policy, supervisor, referee and writer of one process.

    Args:
        settings: of the data set.
        output: folder of runs.
        env: last part of the name of this process's run.
        metadata: further entries of the run's metadata.json.

    Raises:
        DatasetError: there is no such camera, or no OpenGL context to draw with.
        BackendError: the policy cannot be loaded.
    """

    def __init__(self, settings: Settings, output: Path, env: str, metadata: dict[str, Any]):
        self._settings = settings
        self._scene = load_scene()
        self._world = MujocoWorld(self._scene)
        unknown = sorted(set(settings.cameras) - set(self._world.cameras))
        if unknown:
            known = ", ".join(self._world.cameras)
            raise DatasetError(f"the world has no camera {unknown[0]!r}: use {known}")
        self._vla = node_parameters("vla", VlaParameters())
        limits = node_parameters("supervisor", SupervisorParameters())
        self._check = LimitCheck(TOOL_MOTION, Limits(limits.max_translation, limits.max_rotation))
        self._policy = MonitoredPolicy.load(
            settings.policy,
            settings.checkpoint,
            LoadOptions(
                self._vla.device, self._vla.precision, self._vla.threads, self._vla.policy_config
            ),
            self._vla.window,
            self._vla.joint_lower,
            self._vla.joint_upper,
            RobotDescription(
                tuple(self._vla.joint_names),
                tuple(self._vla.joint_lower),
                tuple(self._vla.joint_upper),
                read_urdf(self._vla.robot_description),
                self._vla.tool_link,
            ),
        )
        self._info = info_message(self._policy.info, self._vla.window, True, Time())
        self._cameras = camera_topics(self._policy.info.cameras, self._vla.camera_topics)
        height, width = self._scene.cameras["height"], self._scene.cameras["width"]
        self._recorded = [Camera(name, height, width) for name in settings.cameras]
        self._required = frozenset(
            {"step", *RecorderParameters().required, *(IMAGE + name for name in settings.cameras)}
        )
        self._drawn = tuple(dict.fromkeys([*self._cameras, *settings.cameras]))
        arm = self._scene.arm
        self._joint_names = [*arm["joint_names"], *arm["finger_names"]]
        self._output, self._env, self._metadata = output, env, metadata
        self._writer: EpisodeWriter | None = None
        self._episode = self._ticks = 0
        self._draw_once()

    @property
    def hashes(self) -> dict[str, str]:
        """What the run will hold of RUN_HASHES."""
        return {name: getattr(self._info, name) for name in RUN_HASHES}

    def close(self) -> None:
        """Close the run and free the renderer."""
        if self._writer is not None:
            self._writer.close()
        self._world.close()

    def collect(self, seed: int, stopped: Callable[[], bool] = lambda: False) -> EpisodeReport:
        """Run and commit one episode.

        Args:
            seed: its seed.
            stopped: asked at every step; True gives the episode up.

        Raises:
            SeedRefusedError: the world refuses the seed.
            WorldError: the world cannot go on; other seeds would meet the same.
            SceneError: the settings do not fit the scene.
            PolicyOutputError: the policy gave no usable action.
            EpisodeStoppedError: it was given up.
            StoreWriteError: the disk refused.
        """
        settings = self._settings
        try:
            truth = self._world.reset(
                seed, settings.difficulty, settings.profile, tasks=settings.tasks
            )
        except WorldError as error:
            raise SeedRefusedError(str(error)) from error
        self._episode += 1
        self._ticks += 1
        setup = over_the_wire(
            episode_setup_message(
                self._scene,
                self._world.scenario,
                self._episode,
                settings.profile,
                True,
                self._stamp(),
            )
        )
        arm = self._scene.arm
        joints = (*arm["joint_names"], *arm["finger_names"])
        writer = self._open_writer(make_schema(self._info, setup, self._recorded, joints))
        writer.begin_episode(make_start(self._episode, setup, None))
        try:
            verdict, state = self._run(truth, setup, writer, stopped)
            return self._commit(seed, verdict, state, writer)
        finally:
            if writer.in_episode:
                writer.discard("it did not come to its end")

    def _draw_once(self) -> None:
        """Make the GL context now: a machine that has none fails before the first episode."""
        if not self._drawn:
            return
        with contextlib.suppress(WorldError):  # a start that is refused can be drawn, too
            self._world.reset(0, self._settings.difficulty, self._settings.profile)
        try:
            self._world.render(self._drawn[0])
        except WorldError as error:
            raise DatasetError(str(error)) from error

    def _run(
        self,
        truth: WorldTruth,
        setup: EpisodeSetup,
        writer: EpisodeWriter,
        stopped: Callable[[], bool],
    ) -> tuple[Verdict, WorldState]:
        referee = make_referee(self._scene, setup)
        executed: ActionCommand | None = None
        while True:
            state = over_the_wire(
                world_state_message(truth, self._world.scenario, self._episode, self._stamp(), 0)
            )
            verdict = referee.update(truth_of(state))
            if verdict is not None:
                return verdict, state
            if stopped():
                raise EpisodeStoppedError
            messages = self._observe(truth, state)
            signals = self._act(truth.step, messages, setup.instruction, executed)
            executed, intervention = self._supervise(signals, executed)
            messages.update(
                {"vla_signals": signals, "command": executed, "intervention": intervention}
            )
            self._write(truth.step, messages, writer)
            self._ticks += 1
            truth = self._world.step(np.array(executed.action))

    def _stamp(self) -> Time:
        total = round(self._ticks * 1e9 * self._scene.control_period)
        return Time(sec=total // 10**9, nanosec=total % 10**9)

    def _observe(self, truth: WorldTruth, state: WorldState) -> dict[str, Any]:
        """The messages of a step that come from the world, by the recorder's names of topics."""
        stamp = state.header.stamp
        header = Header(stamp=stamp, frame_id=BASE_FRAME)
        pose = pose_message(truth.tool_position, truth.tool_quaternion)
        return {
            "step": Step(header=header, episode=self._episode, step=truth.step),
            "joint_states": joint_state_message(truth, self._joint_names, stamp),
            "tool_pose": PoseStamped(header=header, pose=pose),
            "world_state": state,
            **{
                IMAGE + name: to_message(self._world.render(name), stamp, optical_frame(name))
                for name in self._drawn
            },
        }

    def _act(
        self,
        step: int,
        messages: dict[str, Any],
        instruction: str,
        executed: ActionCommand | None,
    ) -> VlaSignals:
        """What the VLA node makes of an observation."""
        inputs = {name: messages[IMAGE + name] for name in self._cameras}
        inputs[JOINT_STATES], inputs[TOOL_POSE] = messages["joint_states"], messages["tool_pose"]
        observation = build_observation(
            step,
            inputs,
            self._cameras,
            self._vla.joint_names,
            self._vla.finger_joint_names,
            instruction,
        )
        output, signals = self._policy.process(
            self._episode,
            observation,
            lambda episode, step: None if executed is None else executed.action,
        )
        return signals_message(messages["step"], output, signals)

    def _supervise(
        self, signals: VlaSignals, executed: ActionCommand | None
    ) -> tuple[ActionCommand, Intervention]:
        """What the supervisor node makes of a proposal, passing through."""
        if executed is None:
            self._check.reset()
        decision = self._check.check(signals.action)
        kind = Intervention.KIND_HOLD if decision.reason else Intervention.KIND_PASS
        return ActionCommand(action=array("d", decision.action)), Intervention(kind=kind)

    def _write(self, step: int, messages: dict[str, Any], writer: EpisodeWriter) -> None:
        recorded = {
            topic: message
            for topic, message in messages.items()
            if not topic.startswith(IMAGE) or topic in self._required
        }
        stamp = nanoseconds(messages["step"].header.stamp)
        row, missing, problems = make_row(
            StepMessages(step, stamp, recorded), writer.schema, self._required
        )
        if missing or problems:
            raise RuntimeError(f"step {step} cannot be recorded: {missing} {problems}")
        writer.append(row)

    def _commit(
        self, seed: int, verdict: Verdict, state: WorldState, writer: EpisodeWriter
    ) -> EpisodeReport:
        failed = verdict.failure != FailureType.NONE
        code = EpisodeStatus.STATE_FAILED if failed else EpisodeStatus.STATE_SUCCEEDED
        status = EpisodeStatus(
            state=code, failure=int(verdict.failure), step=state.step, faults=state.faults
        )
        if failed:
            status.onset_step = verdict.onset_step
        writer.commit(make_end(status, state.step, 0, None))
        return EpisodeReport(
            seed=seed,
            failure=verdict.failure,
            steps=state.step,
            fault_before=any(fault.onset_step <= verdict.onset_step for fault in state.faults),
        )

    def _open_writer(self, schema: RunSchema) -> EpisodeWriter:
        if self._writer is None:
            self._writer = EpisodeWriter(
                self._output,
                schema,
                env=self._env,
                min_free_bytes=RecorderParameters().min_free_bytes,
                metadata=self._metadata,
            )
        return self._writer
