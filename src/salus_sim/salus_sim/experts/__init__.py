"""Scripted experts with privileged knowledge: the teachers of the embedded policy."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from salus_sim.experts.pick_place import PickPlaceExpert
from salus_sim.experts.push import PushExpert
from salus_sim.scenario import Scenario
from salus_sim.scene import Scene
from salus_sim.tasks import PUSH
from salus_sim.world.mujoco_world import WorldTruth


class Expert(Protocol):
    """Acts on the present state and a small memory.

    So it can also label states that a student has reached by itself (DAgger, Ross et al. 2011).

    Attributes:
        progress: how far the task has come [0 .. 1], as of the last `act`.
    """

    progress: float

    def act(self, truth: WorldTruth) -> np.ndarray:
        """The action (7,) for this step, in the units of ActionCommand."""
        ...


def expert_for(scene: Scene, scenario: Scenario, fast_transport: bool = True) -> Expert:
    """The expert for a scenario's task.

    Args:
        scene: the scene's numbers.
        scenario: the episode's.
        fast_transport: holds what is oily deeper and carries it at full pace, sooner. The embedded
            policy's teacher does not: what sinks fast is a thing that its pupil was not taught.
    """
    if scenario.task == PUSH:
        return PushExpert(scene, scenario)
    return PickPlaceExpert(scene, scenario, fast_transport)
