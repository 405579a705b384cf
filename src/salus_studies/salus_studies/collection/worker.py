# SPDX-License-Identifier: Apache-2.0
"""One process that collects its share of the seeds and tells what came of each."""

from __future__ import annotations

import multiprocessing
import signal
import time
from dataclasses import dataclass
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from salus_core.episode_store import StoreWriteError
from salus_core.runtime import EpisodeResult, EpisodeStoppedError
from salus_policies.backends.base import BackendError, PolicyOutputError
from salus_sim.scene import SceneError
from salus_sim.world.mujoco_world import WorldError
from salus_studies.collection.episode import EpisodeCollector
from salus_studies.collection.settings import RUN_HASHES, DatasetError, Settings


@dataclass(frozen=True)
class Share:
    """What one worker is to do.

    Attributes:
        index: of the worker.
        seeds: to collect, in this order.
        output: folder of runs.
        settings: of the data set.
        hashes: those of RUN_HASHES that the run must have; empty: any.
        environments: that step together.
    """

    index: int
    seeds: tuple[int, ...]
    output: Path
    settings: Settings
    hashes: dict[str, str]
    environments: int = 1


@dataclass(frozen=True)
class Finished:
    """An episode is committed.

    Attributes:
        index: of the worker.
        result: of the episode.
        seconds: since the end before it, by the clock.
        cpu_seconds: processor time since then.
    """

    index: int
    result: EpisodeResult
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class Refused:
    """The world cannot start the episode of a seed."""

    index: int
    seed: int
    reason: str


@dataclass(frozen=True)
class Ended:
    """The worker is done.

    Attributes:
        index: of the worker.
        error: why it could not go on; empty: nothing went wrong.
    """

    index: int
    error: str


def work(share: Share, news: Queue, stop: Event) -> None:
    """Collect a share; the process's main function.

    Args:
        share: what to do.
        news: receives Finished, Refused, and Ended at last.
        stop: set to make the worker give up its episode and end.
    """
    # Ctrl-C reaches the whole group of processes: the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def stopped() -> bool:
        return stop.is_set() or not parent.is_alive()

    try:
        _collect(share, news, stopped)
    except EpisodeStoppedError:
        news.put(Ended(share.index, ""))
    except (
        BackendError,
        DatasetError,
        PolicyOutputError,
        SceneError,
        StoreWriteError,
        WorldError,
    ) as error:
        news.put(Ended(share.index, str(error)))
    except Exception as error:
        news.put(Ended(share.index, f"{type(error).__name__}: {error}"))
        raise
    else:
        news.put(Ended(share.index, ""))


def _collect(share: Share, news: Queue, stopped: Any) -> None:
    collector = EpisodeCollector(
        share.settings,
        share.output,
        f"worker{share.index}",
        {"dataset": share.settings.comparable},
        share.environments,
    )
    try:
        for name, found in share.hashes.items():
            if found != collector.hashes[name]:
                raise DatasetError(
                    f"{share.output} holds episodes of other {RUN_HASHES[name]} ({name} "
                    f"{found[:12]}, these: {collector.hashes[name][:12]}): give the same "
                    "--policy and --checkpoint, or another --output"
                )
        started, cpu = time.monotonic(), time.process_time()
        for result in collector.collect(share.seeds, stopped):
            if result.refused:
                news.put(Refused(share.index, result.seed, result.refused))
                continue
            now, cpu_now = time.monotonic(), time.process_time()
            news.put(Finished(share.index, result, now - started, cpu_now - cpu))
            started, cpu = now, cpu_now
    finally:
        collector.close()
