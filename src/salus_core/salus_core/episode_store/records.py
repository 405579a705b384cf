# SPDX-License-Identifier: Apache-2.0
"""From the episode loop's records to rows of the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from salus_core.episode_store.episodes import EpisodeEnd, EpisodeStart
from salus_core.episode_store.schema import (
    FORECAST_STATUS_NAMES,
    INTERVENTION_NAMES,
    RunSchema,
)
from salus_core.episode_store.writer import EpisodeWriter
from salus_core.failures import Outcome
from salus_core.runtime import (
    EpisodeResult,
    Forecast,
    GroundTruth,
    Observation,
    Proposal,
    StepRecord,
)

POSE_SIZE = 7


def row_of(record: StepRecord, schema: RunSchema) -> dict[str, Any]:
    """The row of a step; what the record lacks is left out and becomes a fill value.

    Args:
        record: its joints are those of the schema, in the schema's order.
        schema: of the run; says which images are stored.

    Raises:
        ValueError: the truth has an object that the schema does not name.
    """
    observation = record.observation
    row: dict[str, Any] = {"step": record.step, "complete": record.complete}
    if observation.stamp is not None:
        row["timestamp"] = observation.stamp * 1e-9
    row["state"] = _state(observation, schema)
    for camera in schema.cameras:
        if camera.name in observation.images:
            row[f"image/{camera.name}"] = observation.images[camera.name]
    if record.proposal is not None:
        row.update(_proposal_values(record.proposal))
    if record.forecast is not None:
        row.update(_forecast_values(record.forecast))
    if record.truth is not None:
        row.update(_truth_values(record.truth, schema))
    if record.command is not None:
        row["command"] = record.command
    if record.intervention is not None:
        row["intervention"] = INTERVENTION_NAMES.index(record.intervention)
    return row


def _state(observation: Observation, schema: RunSchema) -> np.ndarray:
    """Positions, velocities and tool pose; NaN where not known."""
    joints = len(schema.joint_names)
    state = np.full(len(schema.state_names), np.nan)
    parts = (
        (0, observation.joint_positions),
        (joints, observation.joint_velocities),
        (2 * joints, observation.tool_position),
        (2 * joints + 3, observation.tool_quaternion),
    )
    for first, values in parts:
        if values is not None:
            state[first : first + len(values)] = values
    return state


def _proposal_values(proposal: Proposal) -> dict[str, Any]:
    row: dict[str, Any] = {"action": proposal.action}
    for key, values in (
        ("action_std", proposal.action_std),
        ("embedding", proposal.embedding),
        ("chunk", proposal.chunks),
        ("policy_action", proposal.policy_action),
    ):
        if values is not None:
            row[key] = values
    if proposal.signals is not None:
        valid = proposal.signals.valid
        row["signals"] = np.where(valid, proposal.signals.values, np.float32(np.nan))
        row["signals_valid"] = valid
    return row


def _forecast_values(forecast: Forecast) -> dict[str, Any]:
    row: dict[str, Any] = {"forecast_status": FORECAST_STATUS_NAMES.index(forecast.status)}
    if forecast.probabilities is None:
        return row
    return {
        **row,
        "forecast": np.ravel(forecast.probabilities),
        "forecast_risk": np.float32(forecast.risk),
        "forecast_score": np.float32(forecast.score),
        "forecast_band": np.float32(forecast.threshold),
        "alarm": forecast.alarm,
    }


def require_known_objects(truth: GroundTruth, schema: RunSchema) -> None:
    """Check that a run has a place for every object of the ground truth.

    Raises:
        ValueError: it has not.
    """
    unknown = [name for name in truth.object_poses if name not in schema.object_names]
    if unknown:
        raise ValueError(
            f"ground truth (world_state): {', '.join(unknown)} is not among the objects of the "
            f"run (episode_setup): {', '.join(schema.object_names)}"
        )


def _truth_values(truth: GroundTruth, schema: RunSchema) -> dict[str, Any]:
    require_known_objects(truth, schema)
    names = schema.object_names
    row: dict[str, Any] = {}
    if names:
        poses = np.full((len(names), POSE_SIZE), np.nan)
        for name, pose in truth.object_poses.items():
            poses[names.index(name)] = pose
        row["object_pose"] = poses
    grasped = truth.grasped_object
    return {
        **row,
        "gripper_width": np.float32(truth.gripper_width),
        "gripper_command": np.float32(truth.gripper_command),
        "contact_force": np.float32(truth.contact_force),
        "grasped_object": names.index(grasped) if grasped in names else -1,
    }


class StoreSink:
    """Writes the episodes of one environment into one run.

    Args:
        open_writer: makes the run; called at the first episode.
        predictor: identity of the checkpoint that forecasts; empty: none does.
        predictor_hash: of its weights.
    """

    def __init__(
        self,
        open_writer: Callable[[], EpisodeWriter],
        predictor: str = "",
        predictor_hash: str = "",
    ):
        self._open_writer = open_writer
        self._predictor, self._predictor_hash = predictor, predictor_hash
        self._writer: EpisodeWriter | None = None

    def begin(self, start: EpisodeStart) -> None:
        """See Sink."""
        if self._writer is None:
            self._writer = self._open_writer()
        self._writer.begin_episode(start)

    def step(self, record: StepRecord) -> None:
        """See Sink."""
        self._writer.append(row_of(record, self._writer.schema))

    def end(self, result: EpisodeResult) -> None:
        """See Sink.

        Raises:
            TaxonomyError: the run has no such failure type.
            StoreWriteError: the disk refused.
        """
        failed = result.outcome == Outcome.FAILED
        self._writer.commit(
            EpisodeEnd(
                length=result.steps,
                outcome=result.outcome,
                failure=self._writer.schema.taxonomy.code(result.failure),
                onset_step=result.onset_step if failed else -1,
                faults=result.faults,
                predictor=self._predictor,
                predictor_hash=self._predictor_hash,
            )
        )

    def discard(self, reason: str) -> None:
        """See Sink."""
        if self._writer is not None:
            self._writer.discard(reason)

    def close(self) -> None:
        """Close the run, if there is one."""
        if self._writer is not None:
            self._writer.close()
