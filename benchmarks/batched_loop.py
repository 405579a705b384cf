# SPDX-License-Identifier: Apache-2.0
"""What environments side by side in one process cost: `python benchmarks/batched_loop.py [N]`.

Collects the same episodes with one environment and with N (default: 8), both in this process and
on one thread, checks that they are the same to the last bit, and prints steps/s. Then the policy's
forward pass alone: one by one, as the loop runs it, against one pass of all observations.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import numpy as np
import torch

from salus_core.episode_store import open_dataset
from salus_policies.backends.base import LoadOptions
from salus_policies.backends.embedded.backend import DEFAULT_FOLDER
from salus_policies.backends.embedded.ensemble import EmbeddedEnsemble
from salus_studies.collection.episode import EpisodeCollector
from salus_studies.collection.settings import Settings

FIRST_SEED, EPISODES_EACH, PASSES = 100_000, 2, 30


def collect(folder: Path, seeds: range, environments: int) -> None:
    """Collect and print how fast."""
    collector = EpisodeCollector(Settings(), folder, "benchmark", {}, environments)
    list(collector.collect([FIRST_SEED - 1]))  # fills caches
    started, cpu = time.perf_counter(), time.process_time()
    steps = sum(result.steps for result in collector.collect(seeds))
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    collector.close()
    print(
        f"{environments} environments: {steps} steps, {steps / seconds:.1f} steps/s, "
        f"{1000 * cpu / steps:.2f} ms of CPU per step"
    )


def same(one: Path, other: Path) -> bool:
    """Whether two folders hold the same episodes, to the last bit but for clocks."""
    sets = [open_dataset(folder) for folder in (one, other)]
    first, second = ({episode.seed: episode for episode in found} for found in sets)
    keys = set(sets[0].runs[0].step_keys) - {"timestamp"}

    def equal(seed: int, key: str) -> bool:
        values, others = first[seed][key], second[seed][key]
        return np.array_equal(values, others, equal_nan=values.dtype.kind == "f")

    return first.keys() == second.keys() and all(equal(seed, key) for seed in first for key in keys)


def passes(count: int) -> None:
    """Time the forward pass of `count` observations."""
    torch.set_num_threads(LoadOptions().threads)
    ensemble = EmbeddedEnsemble.from_pretrained(DEFAULT_FOLDER)
    config, random = ensemble.config, np.random.default_rng(0)
    size, cameras = config.image_size, len(config.cameras)
    parts = (
        random.integers(0, 255, (count, cameras, size, size, 3), dtype=np.uint8),
        np.ones((count, cameras), np.float32),
        random.normal(size=(count, len(config.proprioception))).astype(np.float32),
        np.repeat(ensemble.tokenize(" ".join(config.vocabulary[1:5]))[None], count, 0),
    )

    def one_by_one() -> np.ndarray:
        rows = [slice(row, row + 1) for row in range(count)]
        return np.concatenate([ensemble.forward(*(x[row] for x in parts)).means for row in rows])

    def together() -> np.ndarray:
        return ensemble.forward(*parts).means

    for name, run in (("one by one", one_by_one), ("in one pass", together)):
        times = []
        for _ in range(PASSES):
            started = time.process_time()
            found = run()
            times.append(time.process_time() - started)
        print(f"{count} observations {name}: {1000 * np.median(times) / count:.2f} ms each")
    difference = float(np.abs(one_by_one() - found).max())
    print(f"largest difference of the means: {difference:.1e} normalised action units")


def main() -> int:
    """Measure and print; returns the exit code."""
    environments = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    seeds = range(FIRST_SEED, FIRST_SEED + EPISODES_EACH * environments)
    with tempfile.TemporaryDirectory() as folder:
        folders = {count: Path(folder) / str(count) for count in (1, environments)}
        for count, path in folders.items():
            collect(path, seeds, count)
        equal = same(*folders.values())
    print("the episodes are " + ("the same, bit for bit" if equal else "NOT THE SAME"))
    passes(environments)
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
