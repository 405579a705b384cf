# SPDX-License-Identifier: Apache-2.0
"""Whether signals are of the running episode, as the topic `episode` tells; free of nodes."""

from collections.abc import Callable

from salus_msgs.msg import EpisodeStatus, VlaSignals

from salus_core.messages import Episode, EpisodeTracker

RUNS, WAITS, PAST, OVER = "runs", "waits", "past", "over"


class Episodes:
    """Follows episodes by their status.

    Args:
        say: called with a sentence when numbers jump.
    """

    def __init__(self, say: Callable[[str], None]):
        self._say = say
        self._tracker = EpisodeTracker(on_restart=say)
        self.current: Episode | None = None
        """The episode of the last status."""

    def status(self, status: EpisodeStatus) -> bool:
        """Take a status; whether another episode begins."""
        before, self.current = self.current, self._tracker.status(status)
        return self.current is not before

    def fits(self, signals: VlaSignals, last: VlaSignals | None) -> str:
        """How signals fit.

        Args:
            signals: as they came.
            last: the last ones that were answered; None: none were.

        Returns:
            RUNS: they are of the running episode; WAITS: the status of theirs may be on its way;
            PAST: theirs is over; OVER: they are of its end.
        """
        current = self.current
        if current is None or signals.episode > current.number:
            return WAITS
        if signals.episode < current.number:
            back = self._going_on(signals, last)
            if back is None:
                # A world that was started anew counts its episodes from the beginning, too.
                return WAITS if signals.step == 0 else PAST
            self._say(f"status of episode {current.number}: episode {back.number} goes on")
            self.current = current = back
        # The last observation of an episode is inferred on while the referee ends it.
        return OVER if current.ended and signals.step >= current.status.step else RUNS

    def _going_on(self, signals: VlaSignals, last: VlaSignals | None) -> Episode | None:
        """The episode of signals that go on: one wrong status must not end it."""
        if last is None or last.episode != signals.episode or last.step >= signals.step:
            return None
        for episode in reversed(self._tracker.episodes):
            if episode.number == signals.episode and episode.status is not None:
                return None if episode.ended else episode
        return None
