# SPDX-License-Identifier: Apache-2.0
"""Executed commands by episode and step, handed from the executor to the inference thread."""

import threading
from collections import OrderedDict

import numpy as np

KEPT = 16


class CommandHistory:
    """The last few commands; thread-safe."""

    def __init__(self):
        self._condition = threading.Condition()
        self._commands: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()

    def add(self, episode: int, step: int, action: np.ndarray) -> None:
        """Stores a command.

        Args:
            episode: Its episode.
            step: Its step.
            action: (A,) as in ActionCommand.
        """
        with self._condition:
            self._commands[episode, step] = np.array(action, np.float64)
            while len(self._commands) > KEPT:
                self._commands.popitem(last=False)
            self._condition.notify_all()

    def get(self, episode: int, step: int, wait: float) -> np.ndarray | None:
        """Gives the command of a step.

        Args:
            episode: Its episode.
            step: Its step.
            wait: How long to wait for it [s].

        Returns:
            (A,) as in ActionCommand; None if it has not come.
        """
        key = (episode, step)
        with self._condition:
            self._condition.wait_for(lambda: key in self._commands, timeout=wait)
            return self._commands.get(key)
