# SPDX-License-Identifier: Apache-2.0
"""The recorder's services: pause, resume, is_paused."""

from collections.abc import Callable

from std_srvs.srv import Trigger

from salus_recorder.assembler import EpisodeAssembler
from salus_ros.managed_node import ManagedNode


class PauseServices:
    """Offers the services; an inactive node refuses them.

    Args:
        node: that offers them.
        assembler: that is paused.
        changed: called after a change.
    """

    def __init__(self, node: ManagedNode, assembler: EpisodeAssembler, changed: Callable[[], None]):
        self._node = node
        self._assembler = assembler
        self._changed = changed
        for name in ("pause", "resume", "is_paused"):
            node.create_service(Trigger, f"~/{name}", getattr(self, f"_{name}"))

    def _pause(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._is_active(response):
            self._assembler.pause()
            self._changed()
            response.message = "paused; an episode in progress was discarded"
        return response

    def _resume(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._is_active(response):
            self._assembler.resume()
            self._changed()
            response.message = "recording from the next episode on"
        return response

    def _is_paused(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._is_active(response):
            response.message = "paused" if self._assembler.paused else "not paused"
        return response

    def _is_active(self, response: Trigger.Response) -> bool:
        response.success = self._node.is_active
        if not self._node.is_active:
            response.message = "the recorder is not active"
        return self._node.is_active
