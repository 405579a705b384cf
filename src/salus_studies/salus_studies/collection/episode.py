# SPDX-License-Identifier: Apache-2.0
"""One process's episodes of a data set: the episode loop over embedded environments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from salus_core.actions import TOOL_MOTION, ActionSpec
from salus_core.episode_store import Camera, EpisodeWriter
from salus_core.episode_store.records import StoreSink
from salus_core.episode_store.schema import RunSchema
from salus_core.predictors.checkpoint import CheckpointError, load_checkpoint
from salus_core.predictors.model import MismatchError, NeuralPredictor, Source
from salus_core.prevention.supervisor import ActingSupervisor
from salus_core.prevention.table import Table, TableError
from salus_core.runtime import EpisodeResult, Lane, Supervisor, run_episodes
from salus_core.runtime.monitor import SignalMonitor
from salus_core.runtime.supervising import LimitSupervisor
from salus_core.signals import DEFAULT_WINDOW
from salus_policies.backends.base import LoadOptions
from salus_policies.backends.registry import backend_class
from salus_policies.policy import BackendPolicy, run_schema, signal_computer
from salus_policies.robot import RobotDescription
from salus_sim.environment import EmbeddedEnvironment
from salus_sim.scene import load_scene
from salus_sim.world.mujoco_world import MujocoWorld, WorldError
from salus_studies.collection.settings import RUN_HASHES, DatasetError, Settings

MIN_FREE_BYTES = 500_000_000
"""An episode does not begin with less space on the disk; as the recorder's parameter [B]."""


class EpisodeCollector:
    """Environments, policy, monitor, supervisors and runs of one process.

    Args:
        settings: of the data set.
        output: folder of runs.
        env: last part of the name of this process's run; of several environments each has a run
            of its own, with its number appended.
        metadata: further entries of the runs' metadata.json.
        environments: how many step together.

    Raises:
        DatasetError: there is no such camera, no OpenGL context to draw with, or the predictor
            cannot be used.
        BackendError: the policy cannot be loaded, or drives one environment only.
    """

    def __init__(
        self,
        settings: Settings,
        output: Path,
        env: str,
        metadata: dict[str, Any],
        environments: int = 1,
    ):
        scene = load_scene()
        predictor = _open_predictor(settings)
        arm = scene.arm
        robot = RobotDescription(
            tuple(arm["joint_names"]), tuple(arm["joint_lower"]), tuple(arm["joint_upper"])
        )
        backend = backend_class(settings.policy).load(settings.checkpoint, LoadOptions())
        backend.bind(robot)
        info = backend.info
        if info.action.kinds != TOOL_MOTION.kinds:
            raise DatasetError(
                f"the embedded environment's actions are {', '.join(TOOL_MOTION.names)}, but those "
                f"of policy '{settings.checkpoint}' are {', '.join(info.action.names)}"
            )
        joints = range(len(robot.joint_names))  # the arm's come first, then the fingers'
        self.policy = BackendPolicy(backend, environments, joints)
        drawn = tuple(dict.fromkeys([*info.cameras, *settings.cameras]))
        self.worlds: list[MujocoWorld] = []
        self._sinks: list[StoreSink] = []
        self._lanes: list[Lane] = []
        height, width = scene.cameras["height"], scene.cameras["width"]
        recorded = [Camera(name, height, width) for name in settings.cameras]
        try:
            for number in range(environments):
                self.worlds.append(MujocoWorld(scene))
                environment = EmbeddedEnvironment(
                    self.worlds[-1],
                    settings.difficulty,
                    settings.profile,
                    settings.tasks,
                    cameras=drawn,
                )
                environment.draw_once()
                schema = run_schema(
                    info,
                    DEFAULT_WINDOW,
                    environment.control_period,
                    environment.object_names,
                    environment.joint_names,
                    recorded,
                )
                open_writer = partial(
                    EpisodeWriter,
                    output,
                    schema,
                    env=env if environments == 1 else f"{env}-{number}",
                    min_free_bytes=MIN_FREE_BYTES,
                    metadata=metadata,
                )
                digest = "" if predictor is None else predictor.hash
                self._sinks.append(StoreSink(open_writer, settings.predictor, digest))
                supervisor = _supervisor(settings, info.action, predictor, environment)
                self._lanes.append(Lane(environment, supervisor, [self._sinks[-1]]))
        except WorldError as error:
            raise DatasetError(str(error)) from error
        if predictor is not None:
            _require_match(predictor, schema)
        self.monitor = SignalMonitor(
            partial(signal_computer, info, DEFAULT_WINDOW, robot.joint_lower, robot.joint_upper),
            info.action,
            joints,
            predictor,
            environment.joint_names,
            backend.scene_head if settings.interventions else None,
            bool(settings.interventions),
        )
        self.hashes = {name: getattr(schema, name) for name in RUN_HASHES}
        """What the runs will hold of RUN_HASHES."""

    def close(self) -> None:
        """Close the runs and free the renderers."""
        for sink in self._sinks:
            sink.close()
        for world in self.worlds:
            world.close()

    def collect(
        self, seeds: Iterable[int], stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[EpisodeResult]:
        """Run and commit the episodes of some seeds.

        Args:
            seeds: taken in this order.
            stopped: asked at every step; True gives up the episodes in progress.

        Raises:
            WorldError: the world cannot go on; other seeds would meet the same.
            SceneError: the settings do not fit the scene.
            PolicyOutputError: the policy gave no usable action.
            EpisodeStoppedError: they were given up.
            StoreWriteError: the disk refused.
        """
        yield from run_episodes(self._lanes, self.policy, seeds, self.monitor, stopped)


def _supervisor(
    settings: Settings,
    spec: ActionSpec,
    predictor: NeuralPredictor | None,
    environment: EmbeddedEnvironment,
) -> Supervisor:
    """Who decides what is executed.

    Raises:
        DatasetError: the table cannot be used.
    """
    if not settings.interventions or predictor is None:
        return LimitSupervisor(spec)
    try:
        table = Table.load(settings.interventions)
        return ActingSupervisor(spec, table, predictor.taxonomy, environment.control_period)
    except TableError as error:
        raise DatasetError(f"--interventions: {error}") from error


def _open_predictor(settings: Settings) -> NeuralPredictor | None:
    if not settings.predictor:
        return None
    try:
        predictor, _ = load_checkpoint(settings.predictor)
    except CheckpointError as error:
        raise DatasetError(f"--predictor: {error}") from error
    if not predictor.gives_forecasts:
        raise DatasetError(
            f"--predictor: '{predictor.name}' gives a risk without failure types and horizons: it "
            "is a baseline for evaluate, and forecasts nothing live"
        )
    return predictor


def _require_match(predictor: NeuralPredictor, schema: RunSchema) -> None:
    """Check that the predictor was trained on this policy's signals."""
    source = Source(
        schema_hash=schema.schema_hash,
        policies=((schema.policy, schema.policy_hash),),
        embedding_size=schema.embedding_size,
        members=schema.members,
        proprioception_names=predictor.source.proprioception_names,
        control_period=schema.control_period,
        action_names=schema.action.names,
        action_kinds=tuple(str(kind) for kind in schema.action.kinds),
    )
    try:
        predictor.require_match(source)
    except MismatchError as error:
        raise DatasetError(f"--predictor: {error}") from error
