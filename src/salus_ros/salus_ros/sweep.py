# SPDX-License-Identifier: Apache-2.0
"""Takes messages that came without the executor having been told."""

from rclpy.clock import Clock, ClockType
from rclpy.exceptions import InvalidHandle
from rclpy.node import Node

PERIOD = 0.5
"""Time between two looks [s]."""
MOST = 200
"""Messages that are taken of one subscription at a look."""


class Sweep:
    """Looks into every subscription of a node from time to time.

    rclpy's EventsExecutor acts on notifications of the middleware, and never looks by itself. After
    processes had been stopped for seconds (SIGSTOP), a node was seen that heard one topic no more,
    or lacked the last message of an episode, while all others came. A message that lies there is
    taken here at the latest. Runs in the executor's thread, as any other callback.

    Args:
        node: whose subscriptions are looked into.
    """

    def __init__(self, node: Node):
        self.found = 0
        """Messages that were taken here; some of them would have been told of a moment later."""
        self._node = node
        node.create_timer(PERIOD, self.look, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def look(self) -> None:
        """Take what lies there."""
        for subscription in list(self._node.subscriptions):
            for _ in range(MOST):
                try:
                    with subscription.handle:
                        taken = subscription.handle.take_message(
                            subscription.msg_type, subscription.raw
                        )
                except InvalidHandle:
                    break  # a callback before has destroyed it
                if taken is None:
                    break
                self.found += 1
                subscription.callback(taken[0])
