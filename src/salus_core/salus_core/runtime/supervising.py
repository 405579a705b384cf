# SPDX-License-Identifier: Apache-2.0
"""The supervisor that passes every sane action on."""

from __future__ import annotations

from salus_core.actions import ActionSpec
from salus_core.runtime.types import Monitored, Observation
from salus_core.supervision import Decision, LimitCheck, Limits


class LimitSupervisor:
    """Acts on no forecast: what is within the limits is executed, and else nothing.

    Args:
        spec: what the action's numbers mean.
        limits: largest motions.
    """

    def __init__(self, spec: ActionSpec, limits: Limits | None = None):
        self._check = LimitCheck(spec, limits or Limits())

    def reset(self) -> None:
        """See Supervisor."""
        self._check.reset()

    def decide(self, observation: Observation, monitored: Monitored) -> Decision:
        """See Supervisor."""
        return self._check.check(monitored.proposal.action)
