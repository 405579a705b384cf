# SPDX-License-Identifier: Apache-2.0
"""The numbers that salus_core knows are those of the messages, which it may not import."""

from salus_msgs.msg import EpisodeStatus, FailureForecast, Intervention, VlaSignals

from salus_core.episode_store import FORECAST_STATUS_NAMES, INTERVENTION_NAMES
from salus_core.failures import OTHER_FAILURE, FailureType, Outcome
from salus_core.signals import SIGNAL_NAMES


def constants(message, prefix):
    return {
        name.removeprefix(prefix): getattr(message, name)
        for name in type(message).__dict__
        if name.startswith(prefix)
    }


def test_failure_types_are_those_of_episode_status():
    built_in = {failure.name: int(failure) for failure in FailureType}
    assert constants(EpisodeStatus, "FAILURE_") == {**built_in, "OTHER": OTHER_FAILURE}


def test_outcomes_are_the_states_of_episode_status():
    assert constants(EpisodeStatus, "STATE_") == {o.name: int(o) for o in Outcome}


def test_status_and_intervention_names_are_in_the_order_of_their_constants():
    for message, prefix, names in (
        (FailureForecast, "STATUS_", FORECAST_STATUS_NAMES),
        (Intervention, "KIND_", INTERVENTION_NAMES),
    ):
        want = {name.upper(): number for number, name in enumerate(names)}
        assert constants(message, prefix) == want


def test_signals_are_in_the_order_of_their_bits():
    for number, name in enumerate(SIGNAL_NAMES):
        assert getattr(VlaSignals, name.upper()) == number
        assert hasattr(VlaSignals(), name)
