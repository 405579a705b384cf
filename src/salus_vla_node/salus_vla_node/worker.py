# SPDX-License-Identifier: Apache-2.0
"""A thread that works off a short queue, so that inference never blocks the executor."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from salus_msgs.msg import Step

from salus_policies.backends.base import Observation
from salus_policies.policy import MonitoredPolicy

AnyJob = TypeVar("AnyJob")


@dataclass(frozen=True)
class Job:
    """One observation on its way to the policy.

    Attributes:
        step: gives stamp, frame, episode and number.
        position: of its episode, which never repeats.
        observation: for the policy.
        policy: that it was made for: load_checkpoint may bring another one, with other cameras.
        received: when it was complete, by time.perf_counter [s].
    """

    step: Step
    position: int
    observation: Observation
    policy: MonitoredPolicy
    received: float


class Worker(Generic[AnyJob]):
    """Calls `process` with one job after the other in its own thread.

    The queue is bounded: when it is full the oldest job is dropped, because in real time the newest
    observation is the one worth acting on.

    Args:
        process: Called in the thread.
        on_error: Called in the thread with an exception that `process` let through; the thread
            has ended then.
        depth: Jobs that may wait.
    """

    def __init__(
        self,
        process: Callable[[AnyJob], None],
        on_error: Callable[[BaseException], None],
        depth: int,
    ):
        self._process = process
        self._on_error = on_error
        self._depth = depth
        self._jobs: deque[AnyJob] = deque()
        self._condition = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)
        self._thread.start()

    def put(self, job: AnyJob) -> int:
        """Queues a job.

        Args:
            job: For `process`.

        Returns:
            How many older jobs were dropped for it.
        """
        with self._condition:
            dropped = 0
            while len(self._jobs) >= self._depth:
                self._jobs.popleft()
                dropped += 1
            self._jobs.append(job)
            self._condition.notify()
        return dropped

    def stop(self) -> None:
        """Ends the thread after the job at hand; what waits is forgotten."""
        with self._condition:
            self._stopping = True
            self._jobs.clear()
            self._condition.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._jobs or self._stopping)
                if self._stopping:
                    return
                job = self._jobs.popleft()
            try:
                self._process(job)
            except BaseException as error:
                self._on_error(error)
                return
