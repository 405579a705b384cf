# SPDX-License-Identifier: Apache-2.0
"""The world's node over Isaac Sim: the embedded world's node with another world behind it."""

from __future__ import annotations

from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from rclpy.clock import Clock, ClockType
from rclpy.task import Future

from salus_isaac.graph import build_graph
from salus_isaac.interface import load_interface
from salus_isaac.simulator import Simulator
from salus_isaac.world import IsaacWorld
from salus_sim.nodes.world_node import WorldNode
from salus_sim.scene import Scene
from salus_sim.world.mujoco_world import WorldError

_IDLE_PERIOD = 0.1  # [s]


class IsaacWorldNode(WorldNode):
    """Topics, services, lockstep and parameters are WorldNode's; stamps are Isaac Sim's time.

    Args:
        simulator: opened by this node.

    Attributes:
        stopped: done once the user has closed the window or the simulator does not answer.
        exit_code: of the process then.
    """

    def __init__(self, simulator: Simulator, **kwargs: Any) -> None:
        self._simulator = simulator
        self.stopped, self.exit_code = Future(), 0
        super().__init__(**kwargs)
        wall = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(_IDLE_PERIOD, self._on_idle, clock=wall)

    def _open_world(self, scene: Scene) -> IsaacWorld:
        interface = load_interface()
        namespace = self.get_namespace()
        graph = build_graph(interface, namespace)
        return IsaacWorld(scene, interface, self._simulator, graph, namespace)

    def _stamp(self) -> Time:
        return self._world.stamp

    def _advance(self, action: np.ndarray | None) -> None:
        try:
            super()._advance(action)
        except WorldError as error:
            self.get_logger().fatal(str(error))
            self._end(1)

    def _on_idle(self) -> None:
        if not self.stopped.done() and not self._world.idle():
            self.get_logger().info("the window has been closed")
            self._end(0)

    def _end(self, exit_code: int) -> None:
        self._running = False
        if not self.stopped.done():
            self.exit_code = exit_code
            self.stopped.set_result(None)
