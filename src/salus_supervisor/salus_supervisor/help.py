# SPDX-License-Identifier: Apache-2.0
"""A request for help, latched, and the services by which an operator answers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from salus_msgs.msg import HelpRequest
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from salus_ros import qos
from salus_ros.managed_node import ManagedNode

RESUME, TAKE_OVER, ABORT = "resume", "take_over", "abort"
ANSWERS = (RESUME, TAKE_OVER, ABORT)


class Help:
    """Asks, and takes answers.

    Args:
        node: that publishes `help_request` and serves `~/resume`, `~/take_over`, `~/abort`.
        on_resume: called when the policy may go on.
    """

    def __init__(self, node: ManagedNode, on_resume: Callable[[], None]):
        self._node, self._on_resume = node, on_resume
        self._publisher = node.create_lifecycle_publisher(HelpRequest, "help_request", qos.LATCHED)
        self._services = [
            node.create_service(Trigger, f"~/{name}", partial(self._answered, name))
            for name in ANSWERS
        ]
        self._request = HelpRequest()

    @property
    def given_up(self) -> str:
        """Why the policy's actions are not executed until `resume`; empty: they are."""
        return {
            TAKE_OVER: "an operator has taken over",
            ABORT: "an operator has aborted the episode",
        }.get(self._request.answer, "")

    @property
    def taken_over(self) -> bool:
        """An operator moves the robot: nothing is sent."""
        return self._request.answer == TAKE_OVER

    def reset(self) -> None:
        """Begin an episode; a takeover lasts until `resume`."""
        if self._request.waiting or self._request.answer == ABORT:
            self._request = HelpRequest()
            self._publisher.publish(self._request)

    def ask(self, header: Header, episode: int, step: int, reason: str) -> None:
        """Ask, unless it has been asked."""
        if self._request.waiting:
            return
        self._request = HelpRequest(
            header=header, episode=episode, step=step, waiting=True, reason=reason
        )
        self._publisher.publish(self._request)
        self._node.get_logger().error(
            f"asking for help at step {step}: {reason}; answer with the service resume, take_over "
            "or abort"
        )

    def _answered(
        self, answer: str, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        response.success, response.message = self._take(answer)
        return response

    def _take(self, answer: str) -> tuple[bool, str]:
        if not self._node.is_active:
            return False, "the supervisor is not active"
        if answer == RESUME:
            if not self._request.waiting and not self.given_up:
                return False, "nobody asked for help, and nobody took over"
            self._on_resume()
        self._request.waiting, self._request.answer = False, answer
        self._publisher.publish(self._request)
        self._node.get_logger().warning(f"an operator answers: {answer}")
        return True, answer
