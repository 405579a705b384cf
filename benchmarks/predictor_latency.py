# SPDX-License-Identifier: Apache-2.0
"""What one forecast costs at batch 1: `python benchmarks/predictor_latency.py [CHECKPOINT]`.

Without a checkpoint the default network with fresh weights, of the embedded policy's sizes (the
weights do not change the cost). One thread. By the wall clock, and by the CPU clock, which other
programs on the machine change less.
"""

import argparse
import time
from dataclasses import replace

import numpy as np
import torch

from salus_core.data.testing import make_steps
from salus_core.predictors.checkpoint import load_checkpoint
from salus_core.predictors.features import StepInputs
from salus_core.predictors.model import NeuralPredictor
from salus_core.predictors.registry import KINDS
from salus_core.predictors.training.configuration import RunSettings
from salus_core.predictors.training.trainer import make_predictor

MEMBERS, LATENT = 5, 128


def fresh(name: str) -> NeuralPredictor:
    """A predictor of a kind with fresh weights, as a checkpoint would give it."""
    data = make_steps(8)
    embedding = np.random.default_rng(0).normal(size=(len(data), MEMBERS * LATENT))
    data = replace(data, embedding=embedding.astype(np.float16), members=MEMBERS)
    predictor = make_predictor(RunSettings.from_mapping({"predictor": name}), data)
    predictor.network.double()
    return predictor


def measure(predictor: NeuralPredictor, steps: int) -> dict[str, np.ndarray]:
    """Seconds per step of the network alone and of the whole forecast, by both clocks."""
    rng = np.random.default_rng(0)
    stream = predictor.stream()
    found: dict[str, list[float]] = {"network": [], "forecast": []}
    cpu: dict[str, list[float]] = {"network (CPU)": [], "forecast (CPU)": []}
    body = len(predictor.layout.proprioception_names)
    for _ in range(steps):
        inputs = StepInputs(
            signals=rng.normal(size=12).astype(np.float32),
            valid=np.ones(12, bool),
            proprioception=rng.normal(size=body).astype(np.float32),
            action=rng.normal(size=7).astype(np.float32),
            action_std=np.abs(rng.normal(size=7)).astype(np.float32),
            embedding=rng.normal(size=predictor.layout.embedding_size).astype(np.float32),
        )
        begun, begun_cpu = time.perf_counter(), time.thread_time()
        stream.update(inputs)
        found["forecast"].append(time.perf_counter() - begun)
        cpu["forecast (CPU)"].append(time.thread_time() - begun_cpu)
        prepared = stream._features.update(inputs)
        begun, begun_cpu = time.perf_counter(), time.thread_time()
        stream._stepper.advance(*prepared)
        found["network"].append(time.perf_counter() - begun)
        cpu["network (CPU)"].append(time.thread_time() - begun_cpu)
    return {name: np.array(values[steps // 10 :]) for name, values in {**found, **cpu}.items()}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", nargs="?")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--steps", type=int, default=5000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.checkpoint:
        predictors = [load_checkpoint(options.checkpoint)[0]]
    else:
        predictors = [fresh(name) for name in options.kinds]
    print("predictor    part             median [ms]   p99 [ms]")
    for predictor in predictors:
        for part, seconds in measure(predictor, options.steps).items():
            median, high = np.quantile(1e3 * seconds, [0.5, 0.99])
            print(f"{predictor.name:12s} {part:16s} {median:11.3f} {high:10.3f}")


if __name__ == "__main__":
    main()
