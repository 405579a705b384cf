# SPDX-License-Identifier: Apache-2.0
"""Faults injected on purpose: which, when and how large, drawn from the episode's seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from salus_sim.scene import Scene

ARM_FORCE = "arm_force"
OBJECT_FORCE = "object_force"
OBJECT_SLIP = "object_slip"
SENSOR_NOISE = "sensor_noise"
LIGHTING = "lighting"


@dataclass
class Fault:
    """One planned fault.

    Attributes:
        kind: one of this module's constants.
        magnitude: size in `unit`.
        onset_step: first step whose physics or image it changes. For a slip it counts from the
            step at which the target is lifted, until that step is known (see `FaultInjector`).
        duration_steps: how many steps it lasts; 0 is until the end of the episode.
        direction: (3,) unit vector of a force.
    """

    kind: str
    magnitude: float
    unit: str
    onset_step: int
    duration_steps: int
    direction: np.ndarray

    def active(self, step: int) -> bool:
        """Whether it changes this step."""
        end = self.onset_step + self.duration_steps if self.duration_steps else np.inf
        return self.onset_step <= step < end


class FaultInjector:
    """The faults of one episode and their state."""

    def __init__(self, scene: Scene, seed: int, profile: str) -> None:
        """Draw the faults of `seed` under `profile`.

        Raises:
            SceneError: unknown profile.
        """
        probabilities = scene.profile(profile)
        rng = np.random.default_rng([seed, 1])
        self._planned: list[Fault] = []
        self._noise_seed = seed
        for kind, numbers in scene.faults.items():
            # Every fault draws the same count of numbers, so that profiles share their faults.
            chance = rng.uniform()
            fault = Fault(
                kind=kind,
                magnitude=float(rng.uniform(*numbers["magnitude"])),
                unit=str(numbers["unit"]),
                onset_step=int(rng.integers(numbers["onset"][0], numbers["onset"][1] + 1)),
                duration_steps=int(
                    rng.integers(numbers["duration"][0], numbers["duration"][1] + 1)
                ),
                direction=_horizontal(rng),
            )
            if chance < probabilities.get(kind, 0.0):
                self._planned.append(fault)
        self._waiting_slips = [fault for fault in self._planned if fault.kind == OBJECT_SLIP]

    def note_lifted(self, step: int) -> None:
        """Tell that the target is lifted at `step`: slips count from here."""
        for fault in self._waiting_slips:
            fault.onset_step += step
        self._waiting_slips = []

    def active(self, kind: str, step: int) -> Fault | None:
        """The fault of this kind that changes `step`, if any."""
        for fault in self._planned:
            if fault.kind == kind and fault not in self._waiting_slips and fault.active(step):
                return fault
        return None

    def begun(self, step: int) -> list[Fault]:
        """Faults whose onset is at or before `step`, in order of onset."""
        begun = [
            fault
            for fault in self._planned
            if fault not in self._waiting_slips and fault.onset_step <= step
        ]
        return sorted(begun, key=lambda fault: fault.onset_step)

    def spoil(self, image: np.ndarray, camera: int, step: int) -> np.ndarray:
        """The image (H, W, 3) uint8 with this step's pixel noise; equal arguments, equal noise."""
        fault = self.active(SENSOR_NOISE, step)
        if fault is None:
            return image
        rng = np.random.default_rng([self._noise_seed, 2, camera, step])
        noise = rng.standard_normal(image.shape, dtype=np.float32) * (255.0 * fault.magnitude)
        return np.clip(image + noise, 0, 255).astype(np.uint8)


def _horizontal(rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle), 0.0])
