# SPDX-License-Identifier: Apache-2.0
"""The episode loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from salus_core.failures import Outcome
from salus_core.runtime.interfaces import Environment, Monitor, Policy, Sink, Supervisor
from salus_core.runtime.types import (
    EpisodeResult,
    Monitored,
    Observation,
    PolicyOutput,
    Proposal,
    StepRecord,
)
from salus_core.supervision import Decision


class EpisodeStoppedError(Exception):
    """The episodes in progress were given up because the loop was asked to stop."""


class SeedRefusedError(Exception):
    """An environment cannot start the episode of a seed; the message says why."""


class HeldWithoutCommandError(RuntimeError):
    """The supervisor knows no command that holds the robot, so the environment cannot go on."""


@dataclass(frozen=True)
class Lane:
    """One environment with what belongs to it alone.

    Attributes:
        environment: to run.
        supervisor: decides what it executes; None: what the policy proposes.
        sinks: get each step and each end, in this order.
    """

    environment: Environment
    supervisor: Supervisor | None = None
    sinks: Sequence[Sink] = ()


def run_episode(
    environment: Environment,
    policy: Policy,
    seed: int,
    monitor: Monitor | None = None,
    supervisor: Supervisor | None = None,
    sinks: Sequence[Sink] = (),
    stopped: Callable[[], bool] = lambda: False,
) -> EpisodeResult:
    """Run one episode; see `run_episodes`, of which it is the case of one environment."""
    lane = Lane(environment, supervisor, sinks)
    (result,) = run_episodes([lane], policy, [seed], monitor, stopped)
    return result


def run_episodes(
    lanes: Sequence[Lane],
    policy: Policy,
    seeds: Iterable[int],
    monitor: Monitor | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[EpisodeResult]:
    """Run the episodes of some seeds in several environments, step by step together.

    In each round the policy takes the observations of all running lanes at once, and so does the
    monitor. A lane whose episode has ended takes the next seed. An episode does not depend on the
    lane and on the others beside it.

    Args:
        lanes: the environments; policy and monitor know them by their place here.
        policy: of all lanes.
        seeds: of the episodes, taken in this order.
        monitor: of all lanes; None: no signals and no forecasts.
        stopped: asked in every round; True gives up the episodes in progress.

    Yields:
        How each episode ended, in the order of their ends; a refused seed has no steps.

    Raises:
        EpisodeStoppedError: they were given up.
        Exception: what a part raised; all episodes in progress are discarded first.
    """
    left = iter(seeds)
    running: dict[int, Observation] = {}
    commands: dict[int, np.ndarray | None] = {}
    try:
        for number, lane in enumerate(lanes):
            yield from _begin(number, lane, left, policy, monitor, running, commands)
        while running:
            if stopped():
                raise EpisodeStoppedError
            outputs = policy.act(running)
            monitored = (
                {number: Monitored(plain_proposal(output)) for number, output in outputs.items()}
                if monitor is None
                else monitor.observe(running, outputs, commands)
            )
            for number in list(running):
                lane = lanes[number]
                command = _record(lane, running[number], outputs[number], monitored[number])
                commands[number] = command
                running[number] = lane.environment.step(command)
                result = lane.environment.result
                if result is None:
                    continue
                for sink in lane.sinks:
                    sink.end(result)
                del running[number]
                yield result
                yield from _begin(number, lane, left, policy, monitor, running, commands)
    finally:
        # Nothing is open after a regular end: an error, a stop, or whoever closes the generator.
        for number in running:
            for sink in lanes[number].sinks:
                sink.discard("it did not come to its end")


def plain_proposal(output: PolicyOutput) -> Proposal:
    """The proposal of a policy whose signals nobody computes."""
    return Proposal(np.asarray(output.action, np.float64))


def _begin(
    number: int,
    lane: Lane,
    seeds: Iterator[int],
    policy: Policy,
    monitor: Monitor | None,
    running: dict[int, Observation],
    commands: dict[int, np.ndarray | None],
) -> Iterator[EpisodeResult]:
    """Start the next seed that the environment takes."""
    for seed in seeds:
        try:
            observation = lane.environment.reset(seed)
        except SeedRefusedError as error:
            yield EpisodeResult(seed, Outcome.ABORTED, refused=str(error))
            continue
        policy.reset(number)
        if monitor is not None:
            monitor.reset(number)
        if lane.supervisor is not None:
            lane.supervisor.reset()
        running[number], commands[number] = observation, None
        for sink in lane.sinks:
            sink.begin(lane.environment.start)
        if (result := lane.environment.result) is None:
            return
        for sink in lane.sinks:
            sink.end(result)
        del running[number]
        yield result


def _record(
    lane: Lane, observation: Observation, output: PolicyOutput, monitored: Monitored
) -> np.ndarray:
    """Decide on a step and hand it to the sinks; returns the command (A,)."""
    proposal = monitored.proposal
    if lane.supervisor is None:
        decision = Decision(tuple(proposal.action))
    else:
        decision = lane.supervisor.decide(observation, monitored)
    if not decision.action:
        raise HeldWithoutCommandError(
            f"step {observation.step}: no command holds this robot ({decision.reason})"
        )
    command = np.array(decision.action, np.float64)
    record = StepRecord(
        observation=observation,
        proposal=proposal,
        forecast=monitored.forecast,
        scene=monitored.scene,
        command=command,
        intervention=decision.intervention,
        manoeuvre=decision.manoeuvre,
        reason=decision.reason,
        truth=lane.environment.truth,
        output=output,
    )
    for sink in lane.sinks:
        sink.step(record)
    return command
