# SPDX-License-Identifier: Apache-2.0
"""What was seen, proposed and forecast in an episode without interventions, kept step by step."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from salus_core.runtime import (
    Forecast,
    Monitored,
    Observation,
    PolicyOutput,
    Proposal,
    SceneEstimate,
)

_OBSERVED = (
    "joint_positions",
    "joint_velocities",
    "tool_position",
    "tool_quaternion",
    "gripper_width",
)
_OUTPUT = tuple(field.name for field in fields(PolicyOutput))
_FORECAST = (
    "probabilities",
    "outcome_probabilities",
    "risk",
    "score",
    "threshold",
    "alarm",
    "likeliest_failure",
    "likeliest_horizon",
)


@dataclass(frozen=True)
class LoggedStep:
    """One step; the observation has no images."""

    observation: Observation
    output: PolicyOutput
    monitored: Monitored


@dataclass(frozen=True)
class EpisodeLog:
    """One episode.

    Attributes:
        seed: of the episode.
        outcome: 'success' or the type of failure; 'refused': the world could not start it.
        steps: until the outcome was certain.
        onset: first step of the failure.
        description: for people.
        about: of the scene, for tables: never read by an arm.
        log: the steps.
    """

    seed: int
    outcome: str
    steps: int
    onset: int
    description: str
    about: dict[str, Any]
    log: tuple[LoggedStep, ...] = ()

    @property
    def failed(self) -> bool:
        """It did not succeed."""
        return self.outcome != "success"

    def save(self, path: Path) -> None:
        """Write it whole or not at all."""
        arrays = _columns(self.log)
        head = asdict_head(self)
        if self.log:
            first = self.log[0]
            head["instruction"] = first.observation.instruction
            scene = first.monitored.scene
            head["scene"] = (
                None if scene is None else {"names": scene.names, "source": scene.source}
            )
            head["statuses"] = [
                "" if step.monitored.forecast is None else step.monitored.forecast.status
                for step in self.log
            ]
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays, head=np.array(json.dumps(head)))
        os.replace(part, path)

    @classmethod
    def load(cls, path: Path) -> EpisodeLog:
        """Read it."""
        with np.load(path, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
        head = json.loads(str(arrays.pop("head")))
        extra = {name: head.pop(name, None) for name in ("instruction", "scene", "statuses")}
        count = len(extra["statuses"] or ())
        log = tuple(_step(arrays, extra, row) for row in range(count))
        return cls(log=log, **head)


def asdict_head(episode: EpisodeLog) -> dict[str, Any]:
    """Everything but the steps."""
    return {f.name: getattr(episode, f.name) for f in fields(episode) if f.name != "log"}


def _columns(log: Sequence[LoggedStep]) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    groups = (
        ("seen", _OBSERVED, [step.observation for step in log]),
        ("output", _OUTPUT, [step.output for step in log]),
        ("forecast", _FORECAST, [step.monitored.forecast for step in log]),
    )
    for group, names, holders in groups:
        for name in names:
            values = [getattr(holder, name, None) for holder in holders]
            known = [value is not None for value in values]
            if any(known) and not all(known):
                raise ValueError(
                    f"step {known.index(False)} has no {name}, though other steps have: a log "
                    "cannot hold that"
                )
            if any(known):
                found[f"{group}.{name}"] = np.array(values)
    scenes = [step.monitored.scene for step in log]
    if scenes and scenes[0] is not None:
        found["scene.values"] = np.array([scene.values for scene in scenes if scene is not None])
        found["scene.std"] = np.array([scene.std for scene in scenes if scene is not None])
    return found


def _step(arrays: dict[str, np.ndarray], extra: dict[str, Any], row: int) -> LoggedStep:
    def part(group: str, names: Sequence[str]) -> dict[str, Any]:
        keys = {name: f"{group}.{name}" for name in names}
        return {name: arrays[key][row] for name, key in keys.items() if key in arrays}

    seen = dict.fromkeys(_OBSERVED) | part("seen", _OBSERVED)
    observation = Observation(images={}, instruction=extra["instruction"], step=row, **seen)
    output = PolicyOutput(**part("output", _OUTPUT))
    proposal = Proposal(
        action=np.array(output.action, np.float64), chunks=output.chunks, embedding=output.latent
    )
    forecast = scene = None
    if extra["statuses"][row]:
        values = part("forecast", _FORECAST)
        plain = ("risk", "score", "threshold", "likeliest_horizon")
        values |= {name: float(values[name]) for name in plain}
        values["alarm"] = bool(values["alarm"])
        values["likeliest_failure"] = int(values["likeliest_failure"])
        forecast = Forecast(extra["statuses"][row], **values)
    if extra["scene"]:
        named = extra["scene"]
        scene = SceneEstimate(
            tuple(named["names"]),
            arrays["scene.values"][row],
            named["source"],
            arrays["scene.std"][row],
        )
    return LoggedStep(observation, output, Monitored(proposal, forecast, scene))
