# SPDX-License-Identifier: Apache-2.0
"""What a predictor was trained on, and what it is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from salus_core.data.step_data import StepData
from salus_core.predictors.features import InputLayout


@dataclass(frozen=True)
class Source:
    """What a predictor was trained on and must find again.

    Attributes:
        schema_hash: SignalInfo's: equal means comparable signals.
        policies: (name, hash) of those recorded.
        embedding_size: D.
        members: of the ensemble.
        proprioception_names: columns of the body's state.
        control_period: seconds per step.
        horizons: [s] of labels and forecasts; empty: a source of steps alone, which has none.
        failure_names: of the K failure types; empty: likewise.
        action_names: of the A dimensions of the action; empty: not known.
        action_kinds: one per name.
    """

    schema_hash: str
    policies: tuple[tuple[str, str], ...]
    embedding_size: int
    members: int
    proprioception_names: tuple[str, ...]
    control_period: float
    horizons: tuple[float, ...] = ()
    failure_names: tuple[str, ...] = ()
    action_names: tuple[str, ...] = ()
    action_kinds: tuple[str, ...] = ()

    @classmethod
    def of(cls, data: StepData) -> Source:
        """Describe data."""
        return cls(
            data.schema_hash,
            data.policies,
            data.embedding.shape[1],
            data.members,
            data.proprioception_names,
            data.control_period,
            data.horizons,
            data.taxonomy.names,
            data.action_spec.names,
            tuple(str(kind) for kind in data.action_spec.kinds),
        )

    def differences(self, other: Source, layout: InputLayout) -> list[str]:
        """What of another source does not fit, in words; empty: it fits.

        Args:
            other: of the steps at hand.
            layout: of the predictor: what it does not read need not fit.
        """
        found = []
        names = ["schema_hash"]
        if abs(self.control_period - other.control_period) > 1e-4 * self.control_period:
            names.append("control_period")
        for name in ("horizons", "failure_names", "action_names", "action_kinds"):
            if getattr(self, name) and getattr(other, name):
                names.append(name)
        if "embedding" in layout.inputs:
            names += ["embedding_size", "members"]
        if "proprioception" in layout.inputs:
            lacks = [n for n in self.proprioception_names if n not in other.proprioception_names]
            if lacks:
                found.append(f"proprioception lacks {', '.join(lacks[:4])}")
        for name in names:
            ours, theirs = getattr(self, name), getattr(other, name)
            if ours != theirs:
                found.append(f"{name} is {_short(theirs)}, trained with {_short(ours)}")
        if "embedding" in layout.inputs:
            # A latent means something else in every policy, whatever its size.
            ours = dict.fromkeys(policy_hash for _, policy_hash in self.policies)
            for policy, policy_hash in other.policies:
                if policy_hash not in ours:
                    known = ", ".join(name[:12] for name in ours)
                    found.append(
                        f"policy_hash is {policy_hash[:12]} ('{policy}'), trained with {known}"
                    )
        return found


def _short(value: Any) -> str:
    text = value[:12] if isinstance(value, str) else str(value)
    return text if len(text) < 80 else text[:77] + "..."
