# SPDX-License-Identifier: Apache-2.0
"""Whether everything that is required has a publisher, so that an episode misses nothing."""

from collections.abc import Collection

from rclpy.node import Node
from rclpy.subscription import Subscription

WAITING_PERIOD = 10.0
"""Time between two messages about what is waited for [s]."""

READY_DELAY = 0.5
"""The publishers learn of a match later than the subscriptions [s]."""


class PublisherCheck:
    """Looks at the publishers of the recorder's subscriptions.

    Args:
        node: for its log.
        required: topics that must have one.

    Attributes:
        subscriptions: by topic.
    """

    def __init__(self, node: Node, required: Collection[str]):
        self.subscriptions: dict[str, Subscription] = {}
        self._node = node
        self._required = required
        self._complete = False
        self.begin(0.0)

    def begin(self, now: float) -> None:
        """Begin to wait at a monotonic time [s]."""
        self._since = self._told = now

    def is_published(self, topic: str) -> bool:
        """Whether somebody publishes a topic."""
        return self.subscriptions[topic].get_publisher_count() > 0

    def became_complete(self, now: float) -> bool:
        """Whether all are there, for the first time, at a monotonic time [s]."""
        if self._complete:
            return False
        missing = [t for t in self._required if not self.is_published(t)]
        if missing:
            self._since = now
            if now - self._told > WAITING_PERIOD:
                self._told = now
                names = ", ".join(sorted(self.subscriptions[topic].topic_name for topic in missing))
                self._node.get_logger().info(f"waiting for a publisher of {names}")
        elif now - self._since > READY_DELAY:
            self._complete = True
        return self._complete
