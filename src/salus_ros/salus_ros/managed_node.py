# SPDX-License-Identifier: Apache-2.0
"""Managed (lifecycle) nodes: what rclpy leaves to every author, once.

rclpy manages publishers only, swallows exceptions of transitions, and brings no node up by itself.
A subclass of ManagedNode writes four plain methods, `configure`, `activate`, `deactivate` and
`cleanup`, raises ConfigureError where it cannot go on, and gates its callbacks with `when_active`.
"""

import contextlib
import faulthandler
import functools
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import (
    LifecycleNode,
    LifecyclePublisher,
    LifecycleState,
    TransitionCallbackReturn,
)
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future

from salus_ros.diagnostics import Diagnostics, DiagnosticsParameters
from salus_ros.network import reachable_by
from salus_ros.parameters import ParameterError, declare, parameter
from salus_ros.sweep import Sweep

try:
    # Takes a message off in a fraction of the time: SingleThreadedExecutor makes a wait set of all
    # of the node's entities for each one.
    from rclpy.experimental import EventsExecutor as Executor
except ImportError:  # rclpy before 7.1.5
    from rclpy.executors import SingleThreadedExecutor as Executor

SPIN_PERIOD = 5.0
"""Longest wait of the executor [s]: a wake-up that gets lost costs no more than that, while launch
kills a node that has not ended 30 s after it was told to.

EventsExecutor must not wait for ever: where its library was built without pthread_cond_clockwait,
as rclpy's wheels were, that deadline overflows, and the wait becomes a loop that hardly ever lets
go of the lock that whoever stops it needs.
"""

END_TIME = 15.0
"""A node that takes longer to end, or so much longer than SPIN_PERIOD to come back from callbacks,
says on stderr where its threads are [s]."""

CRASHED = 70
"""Exit code of a node that ended by an error of its own program, after it had started."""

SUCCESS = TransitionCallbackReturn.SUCCESS
FAILURE = TransitionCallbackReturn.FAILURE
ERROR = TransitionCallbackReturn.ERROR


class ConfigureError(Exception):
    """A node cannot be configured or activated; the message says why and what to do."""


@dataclass
class ManagedParameters(DiagnosticsParameters):
    """Parameters that every managed node has."""

    autostart: bool = parameter(
        True,
        "Configure and activate after the start; failing then ends the process with code 1.",
        read_only=True,
    )


def when_active(method: Callable[..., None]) -> Callable[..., None]:
    """Make a callback of a ManagedNode do nothing while the node is not active."""

    @functools.wraps(method)
    def gated(self: "ManagedNode", *args: Any) -> None:
        if self.is_active:
            method(self, *args)

    return gated


class ManagedNode(LifecycleNode):
    """A lifecycle node with parameters, diagnostics and a clear way to fail.

    Attributes:
        parameters_type: dataclass of parameters, derived from ManagedParameters; subclasses set it.
        parameters: its object with this node's values.
        diagnostics: the node's report on /diagnostics.
        is_active: True between activation and deactivation; gate callbacks and threads with it.
        exit_code: what `run` returns.
    """

    parameters_type: type[ManagedParameters] = ManagedParameters

    def __init__(self, name: str, **kwargs: Any):
        super().__init__(name, **kwargs)
        self.is_active = False
        self.exit_code = 0
        self.stopped = Future()
        self._is_configured = False
        self._before_configure: dict[str, set[Any]] = {}
        self._parameter_error = ""
        try:
            self.parameters = declare(self, self.parameters_type)
        except ParameterError as error:
            # Reported by on_configure, as for every other reason not to start.
            self._parameter_error = str(error)
            self.parameters = error.parameters
        self.diagnostics = Diagnostics(self, self.parameters)

    def configure(self) -> None:
        """Load weights, open files, create lifecycle publishers and subscriptions.

        What is created here is destroyed after `cleanup`. Raise ConfigureError to refuse.
        """

    def activate(self) -> None:
        """Start working. Publishers are enabled, so latched messages are sent from here.

        May raise ConfigureError.
        """

    def deactivate(self) -> None:
        """Stop working; publishers are still enabled, but the gate is closed.

        Also called when the process ends. If somebody else shut the context down
        (`self.context.ok()` is False), nothing can be published.
        """

    def cleanup(self) -> None:
        """Release what `configure` took: join threads, close files.

        Also called if `configure` failed halfway.
        """

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Configure; FAILURE with one clear error if that is refused."""
        if self._parameter_error:
            self.get_logger().error(f"cannot configure: {self._parameter_error}")
            return FAILURE
        self._before_configure = self._entities()
        self._is_configured = True
        result = self._attempt("configure", self.configure)
        if result == SUCCESS:
            return super().on_configure(state)
        self._release()
        return result

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Enable publishers, open the gate, activate."""
        super().on_activate(state)
        self.is_active = True
        result = self._attempt("activate", self.activate)
        if result != SUCCESS:
            self.is_active = False
            super().on_deactivate(state)
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close the gate, deactivate, disable publishers."""
        self.is_active = False
        result = self._attempt("deactivate", self.deactivate)
        super().on_deactivate(state)
        return result

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Clean up and destroy what `configure` created."""
        return self._release()

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything, from whatever state."""
        return self._release()

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything after an unexpected exception; the node is unconfigured then."""
        return self._release()

    def start(self) -> bool:
        """Bring the node up if `autostart` says so.

        Returns:
            False if it should have come up and did not: the reason is logged, `exit_code` is 1.
        """
        if not self.parameters.autostart:
            return True
        if self.trigger_configure() == SUCCESS and self.trigger_activate() == SUCCESS:
            return True
        self.exit_code = 1
        return False

    def fatal(self, message: str) -> None:
        """End the process with exit code 1, from any thread.

        For what cannot be repaired at run time: a full disk, a thread that died.
        """
        self.get_logger().fatal(message)
        self.exit_code = 1
        self.diagnostics.problem(message)
        if not self.stopped.done():
            self.stopped.set_result(None)

    def close(self) -> None:
        """Release everything before the process ends; works after the context's shutdown, too."""
        if self._release() != SUCCESS:
            self.exit_code = 1

    def _attempt(self, name: str, method: Callable[[], None]) -> TransitionCallbackReturn:
        try:
            method()
        except ConfigureError as error:
            self._log_error(f"cannot {name}: {error}")
            return FAILURE
        except Exception:
            # rclpy would turn it into ERROR without a word.
            self._log_error(f"cannot {name}:\n{traceback.format_exc()}")
            return ERROR
        return SUCCESS

    def _release(self) -> TransitionCallbackReturn:
        results = []
        if self.is_active:
            self.is_active = False
            results.append(self._attempt("deactivate", self.deactivate))
        if self._is_configured:
            self._is_configured = False
            results.append(self._attempt("clean up", self.cleanup))
            self._destroy_entities()
        return SUCCESS if all(result == SUCCESS for result in results) else ERROR

    def _log_error(self, message: str) -> None:
        if self.context.ok():
            self.get_logger().error(message)
        else:
            print(f"[{self.get_name()}] {message}", file=sys.stderr)

    def _entities(self) -> dict[str, set[Any]]:
        kinds = ("publishers", "subscriptions", "services", "clients", "timers")
        return {kind: set(getattr(self, kind)) for kind in kinds}

    def _destroy_entities(self) -> None:
        for kind, present in self._entities().items():
            for entity in present - self._before_configure[kind]:
                if isinstance(entity, LifecyclePublisher):
                    self.destroy_lifecycle_publisher(entity)
                else:
                    getattr(self, f"destroy_{kind.removesuffix('s')}")(entity)


def run(node_class: Callable[[], Node], args: list[str] | None = None) -> int:
    """Run a node until it is stopped: the body of a node's main function.

    Args:
        node_class: a ManagedNode, or a plain Node that raises ParameterError from its constructor.
        args: command line; None: sys.argv.

    Returns:
        Exit code: 0 after a stop from outside (Ctrl-C, shutdown), 1 if the node could not start or
        called `fatal`, CRASHED after an error of the program, or the `exit_code` of a plain node
        that has one. A plain node that has a future `stopped` ends with it.
    """
    node, interrupt = None, _Interrupt()
    # rclpy's own handlers shut the context down under the feet of callbacks that publish.
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    except rclpy_implementation.RCLError as error:
        # A file of parameters that is not there, an argument that is none: rcl names it.
        print(f"[{node_class.__name__}] cannot start: {error}", file=sys.stderr)
        return 1
    _on_stop(interrupt)
    try:
        node = _make(node_class, interrupt)
        if why := reachable_by():
            node.get_logger().warning(
                f"other machines can publish to this node ({why}): set "
                "ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST, or see docs/security.md"
            )
        _spin(node, interrupt)
    except ParameterError as error:
        get_logger(node_class.__name__).fatal(str(error))
        return 1
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except rclpy_implementation.RCLError as error:
        if node is None:  # no such topic name, a DDS without the security that was asked for
            said = " ".join(str(error).split())
            print(f"[{node_class.__name__}] cannot start: {said}", file=sys.stderr)
            return 1
        # A node that shut its context down from a thread of its own may meet the next wait.
        if rclpy.ok():
            raise
    finally:
        # A second Ctrl-C must not cut off what is being released (a recorder's last commit).
        _on_stop(signal.SIG_IGN)
        _watch(END_TIME)
        if isinstance(node, ManagedNode):
            node.close()
        rclpy.try_shutdown()
        faulthandler.cancel_dump_traceback_later()
    return getattr(node, "exit_code", 0)


def _make(node_class: Callable[[], Node], interrupt: "_Interrupt") -> Node:
    """Call the constructor; what a stop breaks in it is a stop."""
    try:
        return node_class()
    except Exception as error:
        if interrupt.came:
            raise KeyboardInterrupt from error
        raise


def _spin(node: Node, interrupt: "_Interrupt") -> None:
    stopped = getattr(node, "stopped", None) or Future()
    executor = Executor()
    executor.add_node(node)
    Sweep(node)
    try:
        started = not isinstance(node, ManagedNode) or node.start()
        if interrupt.came:
            node.exit_code = 0  # what a stop has broken is no failure
        elif started:
            with _stop_signals_end(stopped):
                while not stopped.done() and node.context.ok():
                    # Whoever holds the interpreter's lock now keeps a stop from being noticed.
                    _watch(SPIN_PERIOD + END_TIME)
                    executor.spin_until_future_complete(stopped, SPIN_PERIOD)
    except (KeyboardInterrupt, ExternalShutdownException, rclpy_implementation.RCLError):
        raise
    except Exception:
        # Told apart from a refusal to start: launch files may go on without a node that watches.
        traceback.print_exc()
        node.exit_code = CRASHED
    finally:
        executor.shutdown()


def _watch(seconds: float) -> None:
    """Have the threads' stacks written if it takes longer from here to the next call.

    They are written without the interpreter's lock, so also where a thread waits for ever with it.
    """
    faulthandler.dump_traceback_later(seconds, file=sys.__stderr__)


def _on_stop(handler: Any) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


class _Interrupt:
    """Handler of signals while a node starts: raises KeyboardInterrupt, and remembers that.

    The exception may get lost (in a destructor) or become another one (in the import of an
    extension).
    """

    def __init__(self) -> None:
        self.came = False

    def __call__(self, number: int, frame: Any) -> None:
        self.came = True
        raise KeyboardInterrupt


@contextlib.contextmanager
def _stop_signals_end(stopped: Future) -> Iterator[None]:
    """Let SIGINT and SIGTERM end a future, also while the executor waits.

    Python runs its handlers between two instructions only, which a wait within rcl may put off for
    ever; but it writes each signal to a socket at once, and the thread here reads that.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def relay() -> None:
        if reader.recv(1) and not stopped.done():
            _watch(END_TIME)
            stopped.set_result(None)

    thread = threading.Thread(target=relay, daemon=True)
    thread.start()
    signal.set_wakeup_fd(writer.fileno())
    _on_stop(lambda number, frame: None)
    try:
        yield
    finally:
        _on_stop(signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
        writer.close()
        thread.join()
        reader.close()
