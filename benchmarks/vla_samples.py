# SPDX-License-Identifier: Apache-2.0
"""What K noise samples of a SmolVLA cost over one: `python benchmarks/vla_samples.py [CHECKPOINT]`.

Runs in an environment with lerobot (docs/backends.md); without a checkpoint on a tiny random one.
Times are of this thread's processor, so that other programs on the machine change them little.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [
    str(ROOT / path) for path in ("src/salus_vla_node", "src/salus_core", "src/salus_vla_node/test")
]


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", nargs="?", help="folder of a SmolVLA with its configuration")
    parser.add_argument("--repeats", type=int, default=20)
    given = parser.parse_args()

    from salus_policies.backends.base import LoadOptions
    from salus_policies.backends.smolvla.backend import SmolVlaBackend
    from salus_policies.backends.smolvla.sampler import denoise, encode

    with tempfile.TemporaryDirectory() as folder:
        checkpoint = given.checkpoint
        if checkpoint is None:
            import tiny_smolvla

            checkpoint = str(tiny_smolvla.save(Path(folder) / "tiny"))
        backend = SmolVlaBackend.load(checkpoint, LoadOptions("cpu", threads=1))
    policy = backend.members[0].policy
    features = backend.members[0].config.input_features
    frame = {key: torch.rand(tuple(feature.shape)) for key, feature in features.items()}
    batch = backend.members[0].preprocess({**frame, "task": "pick up the cube"})
    shape = (policy.config.chunk_size, policy.config.max_action_dim)

    def cost(samples: int) -> tuple[float, float]:
        noise = torch.randn(samples, *shape)
        begin = time.thread_time()
        prefix = encode(policy, batch)
        middle = time.thread_time()
        denoise(policy, prefix, noise)
        return middle - begin, time.thread_time() - middle

    numbers = (1, 2, 5, 8, 16)
    with torch.inference_mode():
        for samples in numbers:
            cost(samples)
        # In turns: what disturbs, disturbs all alike.
        times = np.array([[cost(k) for k in numbers] for _ in range(given.repeats)])
    prefix, denoising = np.median(times, axis=0).T * 1e3
    print("| samples | prefix [ms] | denoising [ms] | together | over one |")
    print("|---|---|---|---|---|")
    for row, samples in enumerate(numbers):
        total, one = prefix[row] + denoising[row], prefix[0] + denoising[0]
        figures = f"{prefix[row]:.1f} | {denoising[row]:.1f} | {total:.1f} | {total / one:.2f}"
        print(f"| {samples} | {figures} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
