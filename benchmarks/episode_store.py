# SPDX-License-Identifier: Apache-2.0
"""What writing costs: `python benchmarks/episode_store.py [EPISODES] [--fsync]`."""

import argparse
import os
import resource
import tempfile
import time

import numpy as np

from salus_core.episode_store import Camera, EpisodeEnd, EpisodeStart, EpisodeWriter, RunSchema
from salus_core.failures import Outcome
from salus_core.signals import SIGNAL_DEFINITIONS, SIGNAL_NAMES, SIGNAL_UNITS

SIZE, STEPS = 256, 100
CAMERAS = ("front", "side", "wrist")


def render(camera: int, step: int) -> np.ndarray:
    """A shaded floor, a table, and a moving arm: about as compressible as a simulator's image."""
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    image = np.stack([90 + y // 3, 100 + y // 4, 110 + (x + y) // 6], -1).astype(np.uint8)
    image[((x // 24 + y // 24 + camera) % 2 == 0) & (y > 150)] -= 20
    image[110:200, 50:210] = (150, 130, 100)
    cx, cy = 128 + 60 * np.sin(step / 20 + camera), 110 + 30 * np.cos(step / 25)
    distance = np.hypot(x - cx, (y - cy) / 2.5)
    inside = distance < 28
    image[inside] = (230 - 4 * distance[inside, None]).astype(np.uint8)
    return image


def main() -> None:
    """Write episodes and print figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("episodes", type=int, nargs="?", default=50)
    parser.add_argument("--fsync", action="store_true")
    options = parser.parse_args()
    schema = RunSchema(
        control_period=1 / 30,
        signal_names=SIGNAL_NAMES,
        signal_units=SIGNAL_UNITS,
        signal_definitions=SIGNAL_DEFINITIONS,
        signal_available=(True,) * len(SIGNAL_NAMES),
        cameras=tuple(Camera(name, SIZE, SIZE) for name in CAMERAS),
        object_names=("red_cube", "blue_cube", "obstacle"),
        embedding_size=256,
        chunk_shape=(5, 8, 7),
    )
    random = np.random.default_rng(0)
    rows = [
        {
            "step": step,
            "complete": True,
            "timestamp": step / 30,
            "action": random.normal(size=7),
            "command": random.normal(size=7),
            "state": random.normal(size=25),
            "signals": random.normal(size=12),
            "embedding": random.normal(size=256),
            "chunk": random.normal(size=(5, 8, 7)),
            "object_pose": random.normal(size=(3, 7)),
            **{f"image/{name}": render(i, step) for i, name in enumerate(CAMERAS)},
        }
        for step in range(STEPS)
    ]
    with tempfile.TemporaryDirectory(dir=".") as root:
        writer = EpisodeWriter(root, schema, fsync=options.fsync)
        appending, committing, waiting = 0.0, 0.0, []
        for number in range(options.episodes):
            writer.begin_episode(EpisodeStart(number=number))
            start = time.process_time()
            for row in rows:
                writer.append(row)
            middle, clock = time.process_time(), time.perf_counter()
            writer.commit(EpisodeEnd(length=STEPS, outcome=Outcome.SUCCEEDED))
            waiting.append(time.perf_counter() - clock)
            appending += middle - start
            committing += time.process_time() - middle
        steps = options.episodes * STEPS
        files = sum(len(names) for _, _, names in os.walk(writer.path))
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        print(
            f"{options.episodes} episodes of {STEPS} steps, fsync {options.fsync}\n"
            f"append: {1e3 * appending / steps:.2f} ms of CPU per step\n"
            f"commit: {1e3 * committing / options.episodes:.0f} ms of CPU, by the clock median "
            f"{1e3 * np.median(waiting):.0f} ms, at most {1e3 * max(waiting):.0f} ms\n"
            f"size: {writer.bytes / steps / 1e3:.1f} kB per step, {files} files\n"
            f"memory: {memory:.0f} MB"
        )
        writer.close()


if __name__ == "__main__":
    main()
