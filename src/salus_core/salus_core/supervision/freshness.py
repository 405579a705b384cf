# SPDX-License-Identifier: Apache-2.0
"""Which messages may still lead to a motion: by age, by order, and by how often."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

JUMP = 1000
"""Steps or episodes that numbers may leap ahead and still go on."""

AGREEING = 3
"""Messages in a row that number alike until a jump of numbers is believed."""

SPACING = 0.9
"""Least time between two commands, in control periods: proposals come a little early at times."""


STANDSTILL = 0.1
"""A process that does nothing for so long stood still [s]."""

SETTLING = 0.05
"""After a standstill, what arrives within this time may have waited meanwhile [s]."""

WATCHDOG = "watchdog"
"""Reasons of holds begin with it where nothing fresh came: nobody decided against an action."""

OTHER_CLOCK = 86400 * 10**9
"""Stamps that differ more from a node's clock were made by another one [ns]."""


def stale(stamp: int, now: int, max_age: float, max_ahead: float = 0.01) -> str:
    """Why a message is not fresh.

    Args:
        stamp: of its observation [ns].
        now: by the receiver's clock, which must be the one that made the stamp [ns].
        max_age: [s].
        max_ahead: that clocks of two machines may differ [s].

    Returns:
        The reason; empty: it is fresh.
    """
    if stamp <= 0:
        return "its stamp is 0, so its age is not known"
    age = (now - stamp) * 1e-9
    if age > max_age:
        return f"its observation is {age:.3f} s old, at most {max_age:.3f} s are allowed"
    if age < -max_ahead:
        return f"its observation is {-age:.3f} s in the future by this node's clock"
    return ""


class Standstill:
    """Notices that this process was stopped.

    A clock that follows a topic stops with its process. When both go on, messages that waited are
    old, but look fresh until the clock has caught up.
    """

    def __init__(self) -> None:
        self._beaten = self._resumed = self._told = float("-inf")
        self._lasted = 0.0

    def beat(self, now: float) -> float:
        """The process is alive; to be called often, at a monotonic time [s].

        Returns:
            How long it has just stood still [s], once for each standstill; 0.0: it has not.
        """
        self._look(now)
        self._beaten = now
        told, self._told = self._told, self._resumed
        return self._lasted if told != self._resumed else 0.0

    def reason(self, now: float) -> str:
        """Why nothing that arrives at a monotonic time [s] can be trusted; empty: it can."""
        self._look(now)
        since = now - self._resumed
        if since > SETTLING:
            return ""
        return f"this process stood still for {self._lasted:.2f} s until {since:.3f} s ago"

    def _look(self, now: float) -> None:
        lasted = now - self._beaten
        if STANDSTILL < lasted < float("inf"):
            self._lasted, self._resumed, self._beaten = lasted, now, now


@dataclass(frozen=True)
class Moment:
    """Of which observation a message is.

    Attributes:
        episode: number.
        step: within the episode.
        stamp: [ns].
    """

    episode: int
    step: int
    stamp: int


class Order:
    """Lets each observation lead to one command, and only forward in time.

    Stamps decide. Numbers are believed as far as they go on; where they jump (whoever counts was
    started anew, or one message is wrong), several must agree, unless the message says that an
    episode begins. So no single message, whatever its numbers, locks out those after it.

    Args:
        on_restart: called with a sentence when numbers or the clock jump.
    """

    def __init__(self, on_restart: Callable[[str], None] | None = None):
        self.last: Moment | None = None
        """The last message that was let through."""
        self._on_restart = on_restart or (lambda sentence: None)
        self._jumped: Moment | None = None
        self._agreeing = 0

    def reset(self) -> None:
        """Begin anew: nothing came before."""
        self.last = self._jumped = None
        self._agreeing = 0

    def refusal(
        self, moment: Moment, now: int | None = None, begins: bool = False, guarded: bool = False
    ) -> str:
        """Let a message through, or say why not.

        Args:
            moment: of the message.
            now: by the receiver's clock [ns]; None: stamps are not compared with a clock.
            begins: whoever counts says that it begins anew here.
            guarded: who executes commands takes exactly one number, so jumps do no harm.

        Returns:
            Why it must not lead to a command; empty: it may.
        """
        last = self.last
        if last is not None and now is not None and last.stamp > now:
            self._on_restart(
                f"the clock was set back by at least {(last.stamp - now) * 1e-9:.3f} s"
            )
            last = None
        if last is not None:
            if moment == last or (moment.stamp == last.stamp and not guarded):
                return f"step {moment.step} repeats an observation that was answered"
            if moment.stamp < last.stamp:
                return (
                    f"step {moment.step} of episode {moment.episode}: step {last.step} of episode "
                    f"{last.episode}, which was observed later, is answered"
                )
            if not guarded and not self._goes_on(moment, last):
                if not begins and not self._believed(moment):
                    return (
                        f"step {moment.step} of episode {moment.episode} does not go on from step "
                        f"{last.step} of episode {last.episode}"
                    )
                self._on_restart(
                    f"episode {moment.episode} goes on at step {moment.step} after step "
                    f"{last.step} of episode {last.episode}: whoever counts was started anew"
                )
        self.last, self._jumped, self._agreeing = moment, None, 0
        return ""

    def _goes_on(self, moment: Moment, last: Moment) -> bool:
        if moment.episode == last.episode:
            return 0 < moment.step - last.step <= JUMP
        return 0 < moment.episode - last.episode <= JUMP

    def _believed(self, moment: Moment) -> bool:
        before, self._jumped = self._jumped, moment
        agree = before is not None and before.stamp < moment.stamp and self._goes_on(moment, before)
        self._agreeing = self._agreeing + 1 if agree else 1
        return self._agreeing >= AGREEING


class RateLimit:
    """At most one command in a control period; of what comes sooner, the newest waits."""

    def __init__(self) -> None:
        self._sent = float("-inf")

    def ready(self, now: float, period: float) -> bool:
        """Whether the next command is due.

        Args:
            now: monotonic [s].
            period: control period [s].
        """
        return now - self._sent >= SPACING * period

    def sent(self, now: float) -> None:
        """A command was sent at a monotonic time [s]."""
        self._sent = now
