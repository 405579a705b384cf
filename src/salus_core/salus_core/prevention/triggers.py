# SPDX-License-Identifier: Apache-2.0
"""When a forecast is reason enough to act: per failure type, with persistence and hysteresis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from salus_core.failures import Taxonomy
from salus_core.runtime.types import Forecast

NEVER = 2.0
"""A threshold that no probability reaches."""


@dataclass(frozen=True)
class Rule:
    """When a type of failure counts as forecast.

    Any of the conditions suffices. Once it does, it lasts to the end of the episode, unless
    `release_below` is given: after an intervention forecasts are about a situation that the
    predictor has not been trained on, so they are not followed down by default.

    Attributes:
        outcome_above: probability that the episode ends by the type.
        risk_above: probability of the type within the longest horizon.
        on_alarm: the conformal alarm, while this type is the likeliest.
        steps: in a row that a condition must hold; an alarm counts at once.
        release_below: it ends when the outcome probability falls below; 0: never.
    """

    outcome_above: float = NEVER
    risk_above: float = NEVER
    on_alarm: bool = False
    steps: int = 3
    release_below: float = 0.0

    def holds(self, forecast: Forecast, index: int) -> bool:
        """Whether a condition other than the alarm holds; `index` is the type's."""
        found = forecast.outcome_probabilities
        outcome = found is not None and found[index] > self.outcome_above
        risks = forecast.probabilities
        return bool(outcome or (risks is not None and risks[-1, index] > self.risk_above))


class Trigger(Protocol):
    """Says which types of failure are to be acted on."""

    first: dict[str, int]
    """The step at which each type was first to be acted on."""

    def reset(self) -> None:
        """Begin an episode."""
        ...

    def update(self, step: int, forecast: Forecast | None) -> frozenset[str]:
        """The types to be acted on at a step; None: there is no forecast of it."""
        ...


class ForecastTrigger:
    """Follows forecasts by rules.

    Args:
        taxonomy: of the forecasts.
        rules: by failure type.

    Raises:
        TaxonomyError: a rule is about a type that the taxonomy does not have.
    """

    def __init__(self, taxonomy: Taxonomy, rules: Mapping[str, Rule]):
        self._rules = {taxonomy.code(name) - 1: rule for name, rule in rules.items()}
        self._names = taxonomy.names
        self.reset()

    def reset(self) -> None:
        """See Trigger."""
        self._counts = dict.fromkeys(self._rules, 0)
        self._on: set[int] = set()
        self.first: dict[str, int] = {}

    def update(self, step: int, forecast: Forecast | None) -> frozenset[str]:
        """See Trigger."""
        if forecast is not None and forecast.probabilities is not None:
            for index, rule in self._rules.items():
                self._follow(step, forecast, index, rule)
        return frozenset(self._names[index] for index in self._on)

    def _follow(self, step: int, forecast: Forecast, index: int, rule: Rule) -> None:
        self._counts[index] = self._counts[index] + 1 if rule.holds(forecast, index) else 0
        ends = forecast.outcome_probabilities
        alarmed = rule.on_alarm and forecast.alarm and forecast.likeliest_failure == index + 1
        if alarmed or self._counts[index] >= rule.steps:
            self._on.add(index)
            self.first.setdefault(self._names[index], step)
        elif ends is not None and ends[index] < rule.release_below:
            self._on.discard(index)


class FixedTrigger:
    """Types that are acted on from given steps on, whatever is forecast: for comparisons.

    Args:
        steps: by failure type.
    """

    def __init__(self, steps: Mapping[str, int]):
        self._steps = dict(steps)
        self.reset()

    def reset(self) -> None:
        """See Trigger."""
        self.first: dict[str, int] = {}

    def update(self, step: int, forecast: Forecast | None) -> frozenset[str]:
        """See Trigger."""
        found = frozenset(name for name, begin in self._steps.items() if step >= begin)
        for name in found:
            self.first.setdefault(name, step)
        return found
