# SPDX-License-Identifier: Apache-2.0
"""FailureForecast messages as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from salus_core.episode_store.schema import FORECAST_STATUS_NAMES
from salus_core.messages.checks import InvalidInputError
from salus_core.runtime.types import Forecast


def read_forecast(message: Any, horizons: int, types: int) -> Forecast:
    """The numbers of a message.

    Args:
        message: FailureForecast.
        horizons: H.
        types: K.

    Raises:
        InvalidInputError: its status is unknown, or it holds another count of numbers.
    """
    if message.status >= len(FORECAST_STATUS_NAMES):
        raise InvalidInputError(
            f"failure_forecast: status is {message.status}, but there are 0 to "
            f"{len(FORECAST_STATUS_NAMES) - 1} only"
        )
    status = FORECAST_STATUS_NAMES[message.status]
    if len(message.probabilities) == 0:
        return Forecast(status)
    if len(message.probabilities) != horizons * types:
        raise InvalidInputError(
            f"failure_forecast: expected {horizons * types} numbers, got "
            f"{len(message.probabilities)}"
        )
    ends = np.asarray(getattr(message, "outcome_probabilities", ()), np.float32)
    if len(ends) not in (0, types):
        raise InvalidInputError(
            f"failure_forecast: expected {types} outcome_probabilities, got {len(ends)}"
        )
    return Forecast(
        status=status,
        probabilities=np.asarray(message.probabilities, np.float32).reshape(horizons, types),
        risk=message.risk,
        score=message.score,
        threshold=message.band,
        alarm=message.alarm,
        likeliest_failure=message.likeliest_failure,
        likeliest_horizon=message.likeliest_horizon,
        outcome_probabilities=ends if len(ends) else None,
    )
