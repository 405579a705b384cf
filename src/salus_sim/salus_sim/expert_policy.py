# SPDX-License-Identifier: Apache-2.0
"""The scripted expert as a policy of the episode loop: it reads ground truth, not images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from salus_core.runtime import Observation, PolicyOutput
from salus_sim.environment import EmbeddedEnvironment
from salus_sim.experts import Expert, expert_for


class ExpertPolicy:
    """Acts in embedded environments; see `salus_core.runtime.Policy`.

    Args:
        environments: by lane.
        fast_transport: carry oily targets fast; see `salus_sim.experts`.
    """

    def __init__(self, environments: Sequence[EmbeddedEnvironment], fast_transport: bool = True):
        self._environments = tuple(environments)
        self._fast_transport = fast_transport
        self.experts: dict[int, Expert] = {}

    def reset(self, lane: int) -> None:
        """See Policy."""
        environment = self._environments[lane]
        scene, scenario = environment.world.scene, environment.scenario
        self.experts[lane] = expert_for(scene, scenario, fast_transport=self._fast_transport)

    def act(self, observations: Mapping[int, Observation]) -> dict[int, PolicyOutput]:
        """See Policy."""
        return {
            lane: PolicyOutput(self.experts[lane].act(self._environments[lane].exact_truth))
            for lane in observations
        }
