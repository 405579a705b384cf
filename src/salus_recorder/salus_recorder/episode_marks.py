# SPDX-License-Identifier: Apache-2.0
"""Where episodes begin and end, and how they ended, as somebody says it; free of nodes."""

import math
from collections import deque
from dataclasses import dataclass
from typing import Any

from salus_core.failures import FAILURE_TYPES, Outcome, Taxonomy
from salus_core.messages import nanoseconds

KEPT_STEPS = 4096
"""Steps whose stamps are kept: a failure may have begun so long ago."""
OTHER = 255
"""EpisodeStatus.FAILURE_OTHER: a type that is not built in."""
STATES = {"success": Outcome.SUCCEEDED, "fail": Outcome.FAILED, "abort": Outcome.ABORTED}


class MarkError(ValueError):
    """A command that cannot be followed now; the message says why."""


@dataclass(frozen=True)
class Mark:
    """What the topic episode has to say; fields as in EpisodeStatus.msg.

    Attributes:
        header: of the observation of `step`; None: none has come yet.
        said: the same as a sentence.
    """

    episode: int
    step: int
    state: int
    failure: int
    failure_name: str
    onset_step: int
    instruction: str
    header: Any
    said: str


class EpisodeMarks:
    """Turns commands into marks.

    Args:
        taxonomy: failure types that may be named.
    """

    def __init__(self, taxonomy: Taxonomy):
        self._taxonomy = taxonomy
        self._number = 0
        self._running = False
        self._instruction = ""
        self._steps: deque[tuple[int, Any]] = deque(maxlen=KEPT_STEPS)
        self.last: int | None = None
        """Number of the episode that was labelled last; None: none was."""

    def known(self, number: int) -> None:
        """Somebody knows an episode of this number: the next one has a larger one."""
        if not self._running:
            self._number = max(self._number, number)

    def step(self, episode: int, step: int, header: Any) -> None:
        """A step has been observed."""
        if not self._running:
            self.known(episode)
        elif episode == self._number and (not self._steps or step > self._steps[-1][0]):
            self._steps.append((step, header))

    def obey(self, word: str, rest: str) -> Mark:
        """Follow a command.

        Args:
            word: "begin", "success", "fail" or "abort".
            rest: the instruction; of "fail" the type and, optionally, how long ago it began [s].

        Raises:
            MarkError: it does not fit; names what is possible.
        """
        if word == "begin":
            return self._begin(rest)
        if word not in STATES:
            raise MarkError(
                f"'{word}' is no command: use begin, success, fail TYPE [SECONDS AGO], abort, undo"
            )
        if not self._running:
            raise MarkError("no episode runs: begin one first")
        if word == "fail":
            return self._fail(rest)
        if rest:
            raise MarkError(f"'{word}' takes nothing more, got '{rest}'")
        return self._end(STATES[word], f"episode {self._number}: {word}")

    def _begin(self, instruction: str) -> Mark:
        if self._running:
            raise MarkError(
                f"episode {self._number} runs: end it first with success, fail or abort"
            )
        self._number, self._running, self._instruction = self._number + 1, True, instruction
        self._steps.clear()
        return Mark(
            episode=self._number,
            step=0,
            state=int(Outcome.RUNNING),
            failure=0,
            failure_name="",
            onset_step=-1,
            instruction=instruction,
            header=None,
            said=f"episode {self._number} begins: '{instruction}'",
        )

    def _fail(self, rest: str) -> Mark:
        name, _, ago = rest.partition(" ")
        if name not in self._taxonomy.names:
            raise MarkError(
                f"failure type '{name}' is not known: use {', '.join(self._taxonomy.names)}"
            )
        try:
            seconds = float(ago) if ago.strip() else 0.0
        except ValueError as error:
            raise MarkError(f"'{ago}' is no time in seconds") from error
        if not (math.isfinite(seconds) and seconds >= 0.0):
            raise MarkError(f"a failure cannot have begun {ago} s ago")
        onset = self._onset(seconds)
        built_in = [one.name.lower() for one in FAILURE_TYPES]
        code = self._taxonomy.code(name)
        said = f"episode {self._number}: {name}, from step {onset} on"
        return self._end(Outcome.FAILED, said, onset, code if name in built_in else OTHER, name)

    def _onset(self, seconds: float) -> int:
        """The first step that was observed at most so long ago; 0.0: the last one."""
        if not self._steps or not seconds:
            return self._length()
        newest = nanoseconds(self._steps[-1][1].stamp)
        return next(
            step
            for step, header in self._steps
            if newest - nanoseconds(header.stamp) <= 1e9 * seconds
        )

    def _length(self) -> int:
        return self._steps[-1][0] if self._steps else 0

    def _end(
        self, state: Outcome, said: str, onset: int = -1, failure: int = 0, name: str = ""
    ) -> Mark:
        if not self._steps and state != Outcome.ABORTED:
            raise MarkError(
                f"no step of episode {self._number} has been observed, so only abort is possible: "
                "does the policy's node run, with step_source 'images' and episode_source 'topic'?"
            )
        self._running, self.last = False, self._number
        return Mark(
            episode=self._number,
            step=self._length(),
            state=int(state),
            failure=failure,
            failure_name=name,
            onset_step=onset,
            instruction=self._instruction,
            header=self._steps[-1][1] if self._steps else None,
            said=said,
        )
