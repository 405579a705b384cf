# SPDX-License-Identifier: Apache-2.0
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from builtin_interfaces.msg import Time
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.node import Node
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from std_msgs.msg import String

from salus_ros.managed_node import (
    CRASHED,
    FAILURE,
    SUCCESS,
    ConfigureError,
    ManagedNode,
    ManagedParameters,
    when_active,
)
from salus_ros.parameters import parameter
from salus_ros.qos import LATCHED

pytestmark = pytest.mark.ros

EXAMPLE = Path(__file__).with_name("managed_example.py")


@dataclass
class EchoParameters(ManagedParameters):
    prefix: str = parameter("", "Put before each text.")


class Echo(ManagedNode):
    parameters_type = EchoParameters
    refuse = ""

    def __init__(self, **overrides):
        given = [Parameter(name, value=value) for name, value in overrides.items()]
        super().__init__("echo", parameter_overrides=given)
        self.calls = []

    def configure(self):
        self.calls.append("configure")
        self.publisher = self.create_lifecycle_publisher(String, "echoed", LATCHED)
        self.create_subscription(String, "text", self.on_text, 10)
        if self.refuse == "configure":
            raise ConfigureError("no weights")

    def activate(self):
        self.calls.append("activate")
        if self.refuse == "activate":
            raise ConfigureError("no device")
        self.publisher.publish(String(data="ready"))

    def deactivate(self):
        self.calls.append("deactivate")

    def cleanup(self):
        self.calls.append("cleanup")

    @when_active
    def on_text(self, message):
        self.calls.append(message.data)


@pytest.fixture
def state():
    return lambda node: node._state_machine.current_state[1]


def test_autostart_goes_through_configure_and_activate(ros, state):
    node = Echo()
    assert node.start()
    assert state(node) == "active"
    assert node.calls == ["configure", "activate"]


def test_without_autostart_the_node_waits_for_its_manager(ros, state, executor, spin_until):
    node = Echo(autostart=False)
    assert node.start()
    assert state(node) == "unconfigured"
    executor.add_node(node)
    client = node.create_client(ChangeState, "echo/change_state")
    for transition, reached in (
        (1, "inactive"),
        (3, "active"),
        (4, "inactive"),
        (2, "unconfigured"),
    ):
        request = ChangeState.Request()
        request.transition.id = transition
        future = client.call_async(request)
        spin_until(future.done)
        assert future.result().success
        assert state(node) == reached
    assert node.calls == ["configure", "activate", "deactivate", "cleanup"]


def test_what_configure_created_is_gone_after_cleanup_and_there_again_after_the_next(ros):
    node = Echo(autostart=False)
    before = len(list(node.publishers)), len(list(node.subscriptions))
    for _ in range(3):
        assert node.trigger_configure() == SUCCESS
        assert len(list(node.subscriptions)) == before[1] + 1
        assert node.trigger_cleanup() == SUCCESS
        assert (len(list(node.publishers)), len(list(node.subscriptions))) == before


def test_a_refused_configure_is_a_failure_and_releases_what_it_took(ros, state):
    node = Echo()
    node.refuse = "configure"
    assert not node.start()
    assert node.exit_code == 1
    assert state(node) == "unconfigured"
    assert node.calls == ["configure", "cleanup"]
    assert "/echoed" not in [publisher.topic_name for publisher in node.publishers]


def test_a_refused_activate_leaves_the_node_inactive_with_a_closed_gate(ros, state):
    node = Echo()
    node.refuse = "activate"
    assert not node.start()
    assert state(node) == "inactive"
    assert not node.is_active
    assert not node.publisher.is_activated


def test_an_unknown_parameter_fails_configure_by_name(ros, state, capfd):
    node = Echo(prefx="a")
    assert node.trigger_configure() == FAILURE
    assert state(node) == "unconfigured"
    assert (
        "unknown parameter 'prefx' for node 'echo': did you mean 'prefix'?"
        in capfd.readouterr().err
    )


def test_an_inactive_node_neither_listens_nor_speaks(ros, executor, spin_until):
    node, other = Echo(autostart=False), Node("other")
    heard = []
    other.create_subscription(String, "echoed", heard.append, LATCHED)
    text = other.create_publisher(String, "text", 10)
    executor.add_node(node)
    executor.add_node(other)
    node.trigger_configure()
    node.publisher.publish(String(data="too early"))
    spin_until(lambda: text.get_subscription_count() == 1)
    text.publish(String(data="lost"))
    for _ in range(10):
        executor.spin_once(timeout_sec=0.02)
    node.trigger_activate()
    text.publish(String(data="heard"))
    spin_until(lambda: "heard" in node.calls and heard)
    assert "lost" not in node.calls
    assert [message.data for message in heard] == ["ready"]


# The executor of an rclpy that has no other yet.
OLD_EXECUTOR = "import runpy, sys; sys.modules['rclpy.experimental'] = None; sys.argv.pop(0); "
EXECUTORS = {
    "usual": [str(EXAMPLE)],
    "old": ["-c", OLD_EXECUTOR + "runpy.run_path(sys.argv[0], run_name='__main__')", str(EXAMPLE)],
}


@pytest.fixture(params=EXECUTORS)
def executor_name(request):
    return request.param


def run_code(code, timeout=60):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=timeout, check=False
    )


def example(mode, *arguments, executor="usual"):
    return subprocess.Popen(
        [sys.executable, *EXECUTORS[executor], "--ros-args", "-p", f"mode:={mode}", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def cpu_seconds(process):
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_from_outside_releases_everything_and_exits_with_0(how, executor_name):
    process = example("wait", executor=executor_name)
    assert process.stdout.readline() == "active\n"
    process.send_signal(how)
    output, errors = process.communicate(timeout=60)
    assert output == "deactivated\ncleaned up\n"
    assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize("reach", ["SUBNET", "LOCALHOST"])
def test_a_node_that_other_machines_can_reach_says_so_once(monkeypatch, reach):
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", reach)
    process = example("refuse")
    _, errors = process.communicate(timeout=60)
    said = f"other machines can publish to this node (ROS_AUTOMATIC_DISCOVERY_RANGE is {reach})"
    assert errors.count(said) == (reach == "SUBNET")


def test_a_node_that_must_encrypt_and_cannot_refuses_to_start_in_one_line(monkeypatch, tmp_path):
    """By a Fast DDS without security, or, with one, by the keys that are missing."""
    (tmp_path / "enclaves").mkdir()
    monkeypatch.setenv("ROS_SECURITY_ENABLE", "true")
    monkeypatch.setenv("ROS_SECURITY_STRATEGY", "Enforce")
    monkeypatch.setenv("ROS_SECURITY_KEYSTORE", str(tmp_path))
    process = example("wait")
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (1, "")
    assert "cannot start: " in errors
    assert "Traceback" not in errors


def test_a_node_that_waits_costs_next_to_nothing_and_still_stops():
    # A wait that is cut into nothing would take the whole second, and keep others from stopping it.
    process = example("wait")
    assert process.stdout.readline() == "active\n"
    before = cpu_seconds(process)
    time.sleep(1.0)
    assert cpu_seconds(process) - before < 0.3
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 0


@pytest.mark.parametrize("mode", ["swallow", "convert"])
def test_a_stop_during_the_start_holds_whatever_becomes_of_the_interrupt(mode):
    process = example(mode)
    assert process.stdout.readline() == "configuring\n"
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert output.endswith("cleaned up\n")


def test_a_second_signal_does_not_cut_off_the_release():
    process = example("linger")
    assert process.stdout.readline() == "active\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "deactivated\n"
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output, errors) == (0, "cleaned up\n", "")


def test_the_executor_serves_what_is_created_while_it_spins_and_follows_the_clock(
    ros, executor, spin_until
):
    process = example("echo", "-p", "use_sim_time:=true")
    other, heard = Node("other"), []
    executor.add_node(other)
    clock = other.create_publisher(Clock, "/clock", 10)
    text = other.create_publisher(String, "asked", 10)
    other.create_subscription(String, "answered", heard.append, 10)
    # The node subscribes when its timer of simulated time has fired.
    now = 0

    def tick():
        nonlocal now
        now += 1
        clock.publish(Clock(clock=Time(sec=now)))
        return text.get_subscription_count() == 1

    spin_until(tick, 30)

    def talk():
        text.publish(String(data="hello"))
        return len(heard) > 0

    spin_until(talk, 30)
    assert heard[0].data.startswith("hello at ")
    assert 0 < int(heard[0].data.rpartition(" ")[2]) <= now
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize(
    ("mode", "message", "output"),
    [
        ("refuse", "cannot configure: no checkpoint 'x': give checkpoint:=default", "cleaned up\n"),
        ("break", "KeyError: 'a mistake of the author'", "cleaned up\n"),
        ("fatal", "disk full", "active\ndeactivated\ncleaned up\n"),
        ("raise", "ZeroDivisionError", "active\ndeactivated\ncleaned up\n"),
        ("sing", "parameter 'mode' must be one of", ""),
    ],
)
def test_every_failure_says_why_once_and_with_its_exit_code(mode, message, output, executor_name):
    process = example(mode, executor=executor_name)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == (CRASHED if mode == "raise" else 1)
    assert errors.count(message) == 1
    assert out == output


def test_without_autostart_a_failure_does_not_end_the_process(ros, executor, spin_until):
    process = example("refuse", "-p", "autostart:=false")
    manager = Node("manager")
    executor.add_node(manager)
    client = manager.create_client(ChangeState, "example/change_state")
    spin_until(client.service_is_ready, 30)
    request = ChangeState.Request()
    request.transition.id = Transition.TRANSITION_CONFIGURE
    answer = client.call_async(request)
    spin_until(answer.done, 30)
    assert not answer.result().success
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (0, "cleaned up\n")
    assert errors.count("cannot configure: no checkpoint 'x'") == 1


def test_a_plain_node_that_shuts_its_context_down_ends_with_its_own_code():
    code = """
import sys, threading
from rclpy.node import Node
from salus_ros.managed_node import run

class Once(Node):
    exit_code = 1
    def __init__(self):
        super().__init__("once")
        self.create_timer(0.001, lambda: None)
        threading.Timer(0.3, self.done).start()
    def done(self):
        self.exit_code = 0
        self.context.try_shutdown()

sys.exit(run(Once))
"""
    done = run_code(code, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_stop_that_breaks_a_plain_nodes_constructor_is_a_stop():
    code = """
import os, signal, sys
from rclpy.node import Node
from salus_ros.managed_node import run

class Converting(Node):
    def __init__(self):
        super().__init__("converting")
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt as error:
            raise ImportError("broken by the stop") from error

sys.exit(run(Converting))
"""
    done = run_code(code)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_plain_node_that_publishes_all_the_time_stops_without_a_traceback():
    code = """
import sys
from rclpy.node import Node
from salus_ros.managed_node import run
from std_msgs.msg import String

class Talker(Node):
    def __init__(self):
        super().__init__("talker")
        self.talked, self.publisher = 0, self.create_publisher(String, "talk", 10)
        self.create_timer(0.0005, self.talk)

    def talk(self):
        for _ in range(20):
            self.publisher.publish(String())
        self.talked += 1
        if self.talked == 200:
            print("talking", flush=True)

sys.exit(run(Talker))
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "talking\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")


def test_a_node_that_takes_long_to_stop_says_what_it_is_about():
    code = """
import os, signal, sys, time
from rclpy.node import Node
from salus_ros import managed_node

managed_node.END_TIME = 0.5

class Busy(Node):
    def __init__(self):
        super().__init__('busy')
        self.create_timer(0.1, self.dawdle)

    def dawdle(self):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1.5)

sys.exit(managed_node.run(Busy))
"""
    done = run_code(code)
    assert done.returncode == 0
    assert "in dawdle" in done.stderr


def test_a_callback_that_holds_the_interpreter_is_named_although_no_stop_can_be_noticed():
    code = """
import ctypes, os, signal, sys
from rclpy.node import Node
from salus_ros import managed_node

managed_node.END_TIME, managed_node.SPIN_PERIOD = 0.5, 0.2

class Stuck(Node):
    def __init__(self):
        super().__init__('stuck')
        self.create_timer(0.1, self.cling)

    def cling(self):
        os.kill(os.getpid(), signal.SIGINT)
        ctypes.PyDLL(None).sleep(2)  # with the interpreter's lock

sys.exit(managed_node.run(Stuck))
"""
    done = run_code(code)
    assert done.returncode == 0
    assert "in cling" in done.stderr
