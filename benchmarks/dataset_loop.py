# SPDX-License-Identifier: Apache-2.0
"""Where the time of the command dataset goes: `python benchmarks/dataset_loop.py [CHECKPOINT]`.

Collects three episodes in this process and prints the processor time per step of each part, which
other programs on the machine change less than the time by the clock.
"""

import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

from salus_core.episode_store import EpisodeWriter
from salus_studies.collection.episode import EpisodeCollector
from salus_studies.collection.settings import Settings

SEEDS = (100_000, 100_001, 100_002)


def timed(spent: Counter[str], name: str, function: Callable) -> Callable:
    """The function, with its processor time added to `spent`."""

    def call(*arguments, **keywords):
        started = time.process_time()
        try:
            return function(*arguments, **keywords)
        finally:
            spent[name] += time.process_time() - started

    return call


def main() -> int:
    """Collect and print; returns the exit code."""
    settings = Settings(checkpoint=sys.argv[1] if len(sys.argv) > 1 else "default")
    spent: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        collector = EpisodeCollector(settings, Path(folder), "", {})
        list(collector.collect([SEEDS[0] - 1]))  # makes the GL context and fills caches
        (world,) = collector.worlds
        parts = (
            (world, "render", "cameras of the policy"),
            (world, "step", "physics"),
            (collector.policy, "act", "inference"),
            (collector.monitor, "observe", "signals"),
            (EpisodeWriter, "append", "store: rows"),
            (EpisodeWriter, "commit", "store: commits"),
        )
        for owner, method, name in parts:
            setattr(owner, method, timed(spent, name, getattr(owner, method)))
        started = time.process_time()
        steps = sum(result.steps for result in collector.collect(SEEDS))
        total = time.process_time() - started
        collector.close()
    spent["checks, outcome detector"] = total - sum(spent.values())
    print(f"{steps} steps, {collector.policy.info.members} members; ms of CPU per step")
    for name, seconds in spent.most_common():
        print(f"{name:<28}{1000 * seconds / steps:6.2f}")
    print(f"{'all':<28}{1000 * total / steps:6.2f}   ({steps / total:.0f} steps/s of CPU)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
