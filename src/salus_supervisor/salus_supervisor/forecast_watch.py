# SPDX-License-Identifier: Apache-2.0
"""The newest forecast that is fresh, and how long none has come; free of nodes."""

import math

from salus_msgs.msg import FailureForecast

from salus_core.messages import nanoseconds
from salus_core.supervision import Moment, Order, stale

LEAST_SAID = 0.5
"""Where forecasts lead to nothing, their absence is told after this time [s]."""

WITH_NUMBERS = (FailureForecast.STATUS_OK, FailureForecast.STATUS_WARMING_UP)

STATUS_NAMES = {
    FailureForecast.STATUS_STALE_INPUT: "the predictor gets no signals",
    FailureForecast.STATUS_INVALID_INPUT: "the predictor lacks inputs",
    FailureForecast.STATUS_NO_CHECKPOINT: "no predictor is loaded",
}


class ForecastWatch:
    """Takes forecasts, refuses stale ones, and says when they are missing."""

    def __init__(self) -> None:
        self._order = Order()
        self.late = 0
        """Forecasts that were refused."""
        self.forget()

    def forget(self) -> None:
        """Begin anew: no forecast is known."""
        self.newest: FailureForecast | None = None
        """The last fresh one that carries numbers."""
        self.expected = False
        """Somebody makes forecasts: without, their absence is nothing to tell."""
        self._since = math.inf
        self._lost = False
        self._reason = ""
        self._order.reset()

    def take(
        self,
        forecast: FailureForecast,
        time: float,
        now: int | None,
        max_age: float,
        period: float,
        doubt: str,
    ) -> str:
        """Take a forecast.

        Args:
            forecast: as it came.
            time: monotonic [s].
            now: by the node's clock [ns]; None: in lockstep nothing gets old.
            max_age: [s].
            period: control period, by which clocks may differ [s].
            doubt: why nothing that arrives now can be trusted; empty: it can.

        Returns:
            Why it is refused; empty: it is fresh.
        """
        if forecast.status == FailureForecast.STATUS_NO_CHECKPOINT:
            self._reason = STATUS_NAMES[forecast.status]
            return ""
        self.expected = True
        stamp = nanoseconds(forecast.header.stamp)
        problem = "" if now is None else doubt or stale(stamp, now, max_age, period)
        if not problem and forecast.status not in WITH_NUMBERS:
            self._reason = STATUS_NAMES.get(forecast.status, f"its status is {forecast.status}")
            return ""
        numbers = (forecast.risk, forecast.score, forecast.band, *forecast.probabilities)
        if not problem and not all(math.isfinite(number) for number in numbers):
            problem = "it holds numbers that are not finite"
        moment = Moment(forecast.episode, forecast.step, stamp)
        problem = problem or self._order.refusal(moment, now, guarded=True)
        if problem:
            self.late += 1
            self._reason = f"the last one is refused: {problem}"
            return problem
        self.newest, self._since, self._reason = forecast, time, ""
        return ""

    def begin(self, time: float) -> None:
        """Proposals begin at a monotonic time [s]: from here on forecasts are due."""
        self.newest, self._since = None, time
        self._order.reset()

    def missing(self, time: float, allowed: float) -> str:
        """What to say if no fresh forecast has come for longer than allowed.

        Args:
            time: monotonic [s].
            allowed: [s].
        """
        silent = time - self._since
        if silent <= allowed:
            return ""
        return f"no fresh forecast for {silent:.2f} s" + (self._reason and f" ({self._reason})")

    def changed(self, lost: bool) -> bool:
        """Whether forecasts began to be missing, or came again, since the last call."""
        before, self._lost = self._lost, lost
        return before != lost

    def alarm(self) -> str:
        """What the newest forecast warns of; empty: of nothing."""
        forecast = self.newest
        if forecast is None or not forecast.alarm:
            return ""
        return (
            f"alarm: {forecast.likeliest_failure_name or 'failure'} forecast, score "
            f"{forecast.score:.3f} above {forecast.band:.3f}"
        )

    def of(self, episode: int, step: int) -> bool:
        """Whether the newest forecast is of this very step."""
        newest = self.newest
        return newest is not None and (newest.episode, newest.step) == (episode, step)
