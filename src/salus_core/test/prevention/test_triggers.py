# SPDX-License-Identifier: Apache-2.0
"""When a forecast is reason enough to act."""

import numpy as np
import pytest

from salus_core.failures import Taxonomy, TaxonomyError
from salus_core.prevention.triggers import FixedTrigger, ForecastTrigger, Rule
from salus_core.runtime import Forecast

TYPES = Taxonomy()
COLLISION, DROP = 0, 1


def forecast(outcome=(0, 0, 0, 0), risk=(0, 0, 0, 0), alarm=False, likeliest=1):
    probabilities = np.zeros((4, 4), np.float32)
    probabilities[-1] = risk
    return Forecast(
        "ok",
        probabilities,
        alarm=alarm,
        likeliest_failure=likeliest,
        outcome_probabilities=np.array(outcome, np.float32),
    )


def steps_of(trigger, forecasts):
    return [sorted(trigger.update(step, one)) for step, one in enumerate(forecasts)]


def test_a_type_counts_after_some_steps_in_a_row_and_then_lasts():
    trigger = ForecastTrigger(TYPES, {"drop": Rule(outcome_above=0.5, steps=3)})
    high, low = forecast(outcome=(0, 0.6, 0, 0)), forecast()
    found = steps_of(trigger, [high, high, low, high, high, high, low, low])
    assert found == [[], [], [], [], [], ["drop"], ["drop"], ["drop"]]
    assert trigger.first == {"drop": 5}


def test_a_rule_with_a_release_ends_when_the_probability_falls():
    trigger = ForecastTrigger(TYPES, {"drop": Rule(outcome_above=0.5, steps=1, release_below=0.2)})
    found = steps_of(trigger, [forecast(outcome=(0, p, 0, 0)) for p in (0.6, 0.3, 0.1, 0.3, 0.6)])
    assert found == [["drop"], ["drop"], [], [], ["drop"]]


def test_the_risk_within_the_longest_horizon_suffices():
    trigger = ForecastTrigger(TYPES, {"collision": Rule(risk_above=0.3, steps=2)})
    assert steps_of(trigger, [forecast(risk=(0.4, 0, 0, 0))] * 2) == [[], ["collision"]]


def test_an_alarm_counts_at_once_and_only_for_the_likeliest_type():
    rules = {name: Rule(on_alarm=True) for name in ("collision", "drop")}
    trigger = ForecastTrigger(TYPES, rules)
    assert steps_of(trigger, [forecast(alarm=True, likeliest=DROP + 1)]) == [["drop"]]


def test_steps_without_forecast_change_nothing():
    trigger = ForecastTrigger(TYPES, {"drop": Rule(outcome_above=0.5, steps=2)})
    high = forecast(outcome=(0, 0.6, 0, 0))
    found = steps_of(trigger, [high, None, Forecast("stale_input"), high])
    assert found == [[], [], [], ["drop"]]


def test_a_new_episode_begins_with_nothing():
    trigger = ForecastTrigger(TYPES, {"drop": Rule(outcome_above=0.5, steps=1)})
    trigger.update(0, forecast(outcome=(0, 1, 0, 0)))
    trigger.reset()
    assert trigger.update(0, forecast()) == frozenset()
    assert trigger.first == {}


def test_an_unknown_type_is_refused():
    with pytest.raises(TaxonomyError, match="spill"):
        ForecastTrigger(TYPES, {"spill": Rule()})


def test_fixed_steps_are_kept():
    trigger = FixedTrigger({"drop": 2, "collision": 0})
    assert steps_of(trigger, [None] * 3) == [["collision"], ["collision"], ["collision", "drop"]]
    assert trigger.first == {"collision": 0, "drop": 2}
