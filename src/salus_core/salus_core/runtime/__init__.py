# SPDX-License-Identifier: Apache-2.0
"""One episode loop for every environment, policy, monitor and sink; free of ROS and simulators."""

from salus_core.runtime.interfaces import Environment, Monitor, Policy, Sink, Supervisor
from salus_core.runtime.loop import (
    EpisodeStoppedError,
    Lane,
    SeedRefusedError,
    run_episode,
    run_episodes,
)
from salus_core.runtime.types import (
    EpisodeResult,
    Forecast,
    GroundTruth,
    Monitored,
    Observation,
    PolicyOutput,
    Proposal,
    SceneEstimate,
    StepRecord,
)
from salus_core.supervision import Decision

__all__ = [
    "Decision",
    "Environment",
    "EpisodeResult",
    "EpisodeStoppedError",
    "Forecast",
    "GroundTruth",
    "Lane",
    "Monitor",
    "Monitored",
    "Observation",
    "Policy",
    "PolicyOutput",
    "Proposal",
    "SceneEstimate",
    "SeedRefusedError",
    "Sink",
    "StepRecord",
    "Supervisor",
    "run_episode",
    "run_episodes",
]
