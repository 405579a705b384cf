# SPDX-License-Identifier: Apache-2.0
"""The remote backend: a real server process, the tiny policy behind it, and what can go wrong."""

import contextlib
import dataclasses
import json
import shutil
import signal
import socket
import struct
import threading
import time

import numpy as np
import pytest
from numpy_backend import NumpyBackend, joint_positions, make_checkpoint
from policy_server import ServerProcess, free_port
from test_action_space import ROBOT, observation

from salus_core.actions import TOOL_MOTION
from salus_core.signals import LatentStatistics
from salus_policies.backends.base import (
    BackendError,
    LoadOptions,
    PolicyBackend,
    PolicyOutput,
    PolicyOutputError,
)
from salus_policies.backends.registry import backend_class
from salus_policies.backends.remote import protocol, server
from salus_policies.backends.remote.backend import RemoteBackend
from salus_policies.backends.remote.protocol import Message, ProtocolError
from salus_policies.robot import RobotDescription


@pytest.fixture
def policy(tmp_path):
    return make_checkpoint(tmp_path / "policy")


@pytest.fixture
def process(policy):
    process = ServerProcess(policy).start()
    yield process
    process.stop()


@pytest.fixture
def config(tmp_path):
    def write(**timeouts):
        text = "".join(f"{name}: {value}\n" for name, value in timeouts.items())
        (tmp_path / "remote.yaml").write_text(text)
        return str(tmp_path / "remote.yaml")

    return write


def connect(process, config=""):
    backend = RemoteBackend.load(process.address, LoadOptions(config=config))
    backend.bind(ROBOT)
    backend.reset()
    return backend


def seen(step=0):
    return observation(images={"front": np.full((32, 32, 3), 7 * step, np.uint8)}, step=step)


def same(one, other):
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("action", "member_means", "member_stds", "chunks", "latent")
    )


def test_the_policy_behind_the_socket_is_the_same_policy(process, policy):
    local = NumpyBackend.load(str(policy), LoadOptions())
    remote = connect(process)
    assert remote.info == local.info
    for step in range(3):
        output = remote.act(seen(step))
        assert same(output, local.act(seen(step)))
        assert output.token_probabilities is None
        remote.info.check(output)


def test_a_killed_server_costs_actions_and_comes_back(process, config):
    remote = connect(process, config(act=0.5))
    before = remote.act(seen(1))
    process.stop()
    begin = time.monotonic()
    with pytest.raises(PolicyOutputError, match=r"127.0.0.1:\d+ gives no answer within 0.5 s"):
        remote.act(seen(2))
    assert time.monotonic() - begin < 2.0
    remote.reset()  # the next episode begins meanwhile
    process.start()
    assert same(remote.act(seen(1)), before)


def test_a_server_that_is_back_within_the_timeout_costs_nothing(process, config):
    remote = connect(process, config(act=20))
    before = remote.act(seen(1))
    process.stop()
    process.start()
    assert same(remote.act(seen(1)), before)


def test_a_silent_server_is_given_up_in_time_and_its_late_answer_ignored(process, config):
    remote = connect(process, config(act=0.5))
    first, second = remote.act(seen(1)), remote.act(seen(2))
    assert not same(first, second)
    process.freeze()
    with pytest.raises(PolicyOutputError, match="gives no answer"):
        remote.act(seen(1))
    process.thaw()
    time.sleep(0.2)
    assert same(remote.act(seen(2)), second)


def test_a_server_with_other_weights_is_not_taken_for_the_same(process, policy, config):
    remote = connect(process, config(act=5))
    process.stop()
    shutil.rmtree(policy)
    make_checkpoint(policy, seed=1)
    process.start()
    with pytest.raises(PolicyOutputError, match=r"other weights_hash\).*load_checkpoint"):
        remote.act(seen(1))


def test_a_second_robot_is_told_that_the_server_is_busy(process):
    first = connect(process)
    with pytest.raises(BackendError, match="busy"):
        RemoteBackend.load(process.address, LoadOptions())
    first._close()
    connect(process)


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: robot\r\n\r\n",
        struct.pack("<4sIQ", b"SLVP", 5, 0) + b"{nope",
        struct.pack("<4sIQ", b"SLVP", 1 << 31, 0),
        b"SL",
    ],
)
def test_garbage_ends_its_connection_and_not_the_server(process, garbage):
    with socket.create_connection(("127.0.0.1", process.port), timeout=5) as connection:
        connection.sendall(garbage)
        connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while connection.recv(4096):
                pass
    assert connect(process).act(seen()).action.shape == (7,)


def test_another_version_of_the_protocol_is_refused(process):
    with socket.create_connection(("127.0.0.1", process.port), timeout=5) as connection:
        protocol.send(connection, Message("hello", {"protocol": 99}))
        answer = protocol.receive(connection)
    assert answer.kind == "error"
    assert "speaks protocol 2, the client 99" in answer.fields["message"]


def pair():
    one, other = socket.socketpair()
    one.settimeout(5)
    other.settimeout(5)
    return one, other


def test_messages_carry_arrays_exactly_and_refuse_what_is_not_plain():
    arrays = {
        "image": np.arange(24, dtype=np.uint8).reshape(2, 4, 3)[:, ::-1],
        "empty": np.zeros((0, 3), np.float32),
        "numbers": np.array([1e-300, np.inf]),
    }
    one, other = pair()
    with one, other:
        protocol.send(one, Message("act", {"instruction": "grün ↑"}, arrays))
        found = protocol.receive(other)
        assert found.fields == {"instruction": "grün ↑"}
        for name, value in arrays.items():
            assert found.arrays[name].dtype == value.dtype
            np.testing.assert_array_equal(found.arrays[name], value)
        with pytest.raises(TypeError, match="object cannot be sent"):
            protocol.send(one, Message("act", {}, {"pickle": np.array([{}], object)}))
        header = b'{"kind":"act","fields":{},"arrays":[{"name":"a","dtype":"object","shape":[1]}]}'
        one.sendall(protocol.PREFIX.pack(protocol.MAGIC, len(header), 8) + header + bytes(8))
        with pytest.raises(ProtocolError, match="array of type object"):
            protocol.receive(other)


def test_what_a_policy_cannot_give_stays_none_and_latent_statistics_arrive():
    output = PolicyOutput(action=np.zeros(7), token_probabilities=np.full((7, 4), 0.25))
    found = protocol.read_output(protocol.output_message(output))
    assert found.latent is None
    np.testing.assert_array_equal(found.token_probabilities, output.token_probabilities)
    with pytest.raises(ProtocolError, match="unreadable"):
        protocol.read_output(Message("output"))


@pytest.mark.parametrize(
    "header",
    [
        {"kind": "act", "fields": {"gripper_width": float("inf")}, "arrays": []},
        {"kind": "act", "fields": {}, "arrays": [{"shape": [float("inf")]}]},
        {"kind": "act", "fields": {}, "arrays": [{"shape": [1] * 70}]},
        {"kind": "act", "fields": {}, "arrays": [{"shape": [0, 10**30]}]},
        {"kind": "act", "fields": {}, "arrays": [{"shape": [-1, -8]}]},
        {"kind": "act", "fields": {}, "arrays": [{"shape": [1.5]}]},
        b'{"kind": "act", "arrays": [], "fields": ' + b'{"a":' * 100_000 + b"1",
        b"[]",
    ],
    ids=str,
)
def test_malformed_headers_are_errors_of_the_protocol(header):
    if isinstance(header, dict):
        for array in header["arrays"]:
            array.update({"name": "a", "dtype": "uint8"})
        header = json.dumps(header).encode()
    one, other = pair()
    with one, other:
        prefix = protocol.PREFIX.pack(protocol.MAGIC, len(header), 0 if b"10000" in header else 1)
        threading.Thread(target=one.sendall, args=(prefix + header + bytes(1),)).start()
        with pytest.raises(ProtocolError, match="header is unreadable"):
            protocol.receive(other)


def test_a_description_that_is_none_is_an_error_of_the_protocol():
    with pytest.raises(ProtocolError, match="description is unreadable"):
        protocol.read_info(Message("welcome", {"protocol": 1, "info": "tiny"}))


class Refusing(PolicyBackend):
    """A policy for another arm, whose library also fails."""

    @classmethod
    def load(cls, checkpoint, options):
        return cls()

    @property
    def info(self):
        from test_backends import info

        statistics = LatentStatistics(np.arange(4.0), np.eye(4), 9)
        return dataclasses.replace(info(embedding_size=4), latent_statistics=statistics)

    def bind(self, robot):
        raise BackendError(f"made for 6 joints, not {len(robot.joint_names)}")

    def reset(self):
        pass

    def act(self, observation):
        raise RuntimeError("out of memory on the device")


def test_refusals_and_failures_of_the_servers_policy_reach_the_node():
    serving = server.PolicyServer(Refusing(), "127.0.0.1", 0)
    threading.Thread(target=serving.serve, daemon=True).start()
    remote = RemoteBackend.load("{}:{}".format(*serving.address), LoadOptions())
    assert remote.info.latent_statistics.count == 9
    np.testing.assert_array_equal(remote.info.latent_statistics.mean, np.arange(4.0))
    with pytest.raises(BackendError, match=r"policy server .*made for 6 joints, not 7"):
        remote.bind(ROBOT)
    with pytest.raises(PolicyOutputError, match=r"failed on the server: .*out of memory"):
        remote.act(seen())
    serving.close()


@contextlib.contextmanager
def serve(backend, port=0):
    """A server in this process; at its end it is gone, as after a kill."""
    serving = server.PolicyServer(backend, "127.0.0.1", port)
    threading.Thread(target=serving.serve, daemon=True).start()
    try:
        yield serving
    finally:
        serving.close()


def test_a_client_that_says_nothing_does_not_keep_others_out(policy, monkeypatch):
    monkeypatch.setattr(server, "HELLO_PATIENCE", 0.2)
    with (
        serve(NumpyBackend.load(str(policy), LoadOptions())) as serving,
        socket.create_connection(serving.address, timeout=5) as silent,
    ):
        assert silent.recv(1) == b""
        RemoteBackend.load("{}:{}".format(*serving.address), LoadOptions())


class SlowToBind(NumpyBackend):
    def bind(self, robot):
        time.sleep(1.5)
        super().bind(robot)


def test_a_server_that_is_back_and_slow_to_bind_costs_actions_and_never_the_nodes_time(
    policy, config
):
    with serve(NumpyBackend.load(str(policy), LoadOptions())) as serving:
        address = serving.address
        remote = RemoteBackend.load("{}:{}".format(*address), LoadOptions(config=config(act=0.4)))
        remote.bind(ROBOT)
        before = remote.act(seen(1))
    remote._close()
    with serve(SlowToBind.load(str(policy), LoadOptions()), address[1]):
        begin = time.monotonic()
        with pytest.raises(PolicyOutputError, match=r"gives no answer within 0\.4 s"):
            remote.act(seen(1))
        assert time.monotonic() - begin < 1.4
        for _ in range(20):
            with contextlib.suppress(PolicyOutputError):
                assert same(remote.act(seen(1)), before)
                break
        else:
            pytest.fail("the server was never ready")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("action", dataclasses.replace(TOOL_MOTION, scale=(0.5,) * 7)),
        ("member_kind", "samples"),
        ("config_hash", "1"),
        ("latent_statistics", LatentStatistics(np.zeros(6), np.eye(6), 9)),
    ],
)
def test_the_same_weights_with_another_meaning_are_not_taken_for_the_same(
    policy, config, field, value
):
    backend = NumpyBackend.load(str(policy), LoadOptions())
    with serve(backend) as serving:
        address = serving.address
        remote = RemoteBackend.load("{}:{}".format(*address), LoadOptions(config=config(act=1)))
    remote._close()
    backend._info = dataclasses.replace(backend.info, **{field: value}, policy="elsewhere")
    with (
        serve(backend, address[1]),
        pytest.raises(PolicyOutputError, match=f"back with another policy.*{field}"),
    ):
        remote.act(seen(1))


def test_a_robot_that_did_not_fit_leaves_nobody_bound(policy):
    bound = []

    class Counting(NumpyBackend):
        def bind(self, robot):
            bound.append(len(robot.joint_names))
            super().bind(robot)

    with serve(Counting.load(str(policy), LoadOptions())) as serving:
        remote = RemoteBackend.load("{}:{}".format(*serving.address), LoadOptions())
        names = ("joint_names", "joint_lower", "joint_upper")
        six = RobotDescription(*(getattr(ROBOT, name)[:6] for name in names))
        remote.bind(ROBOT)
        remote.bind(ROBOT)
        with pytest.raises(BackendError, match="made for 7 joints, not 6"):
            remote.bind(six)
        remote.bind(ROBOT)
    assert bound == [7, 6, 7]


@pytest.mark.parametrize("checkpoint", ["robot", ":5555", "robot:port", "robot:99999"])
def test_an_address_that_is_none_is_refused(checkpoint):
    with pytest.raises(BackendError, match="must be HOST:PORT"):
        RemoteBackend.load(checkpoint, LoadOptions())


def test_without_a_server_the_policy_cannot_be_loaded_and_it_says_how_to_start_one(config):
    with pytest.raises(BackendError, match=r"refused.*remote\.server --policy NAME"):
        RemoteBackend.load(f"127.0.0.1:{free_port()}", LoadOptions(config=config(connect=0.3)))
    with pytest.raises(BackendError, match="unknown entries patience"):
        RemoteBackend.load("default", LoadOptions(config=config(patience=3)))


def test_a_server_ends_well_when_told_to_and_says_why_it_cannot_start(process, tmp_path, caplog):
    assert process.stop(signal.SIGTERM) == 0
    code = server.main(["--policy", "numpy_backend:NumpyBackend", "--checkpoint", str(tmp_path)])
    assert code == 1
    assert "missing weights" in caplog.text


def test_the_servers_modules_need_no_ros():
    """As in an environment that has a VLA's libraries and nothing of ROS."""
    import subprocess
    import sys

    code = (
        "import sys; sys.modules['rclpy'] = sys.modules['salus_msgs'] = None\n"
        "import salus_policies.backends.remote.server as s\n"
        "from salus_policies.backends.registry import BACKENDS, backend_class\n"
        "[backend_class(name) for name in BACKENDS]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert backend_class("remote") is RemoteBackend


@pytest.mark.parametrize("count", [0, 6, 14, 65])
def test_an_observation_of_another_number_of_joints_is_refused_with_both_numbers(process, count):
    backend = connect(process)
    with pytest.raises(PolicyOutputError, match=rf"{count} joint positions, but .* to 7 joints"):
        backend.act(observation(images=seen(0).images, joint_positions=np.zeros(count)))
    assert backend.act(seen(0)).action.shape == (7,)
    backend._close()


@pytest.mark.parametrize("count", [0, 6, 14, 65])
def test_a_policy_that_breaks_its_promise_is_refused_by_its_own_server(policy, config, count):
    class Breaking(NumpyBackend):
        def act(self, seen):
            return dataclasses.replace(super().act(seen), action=np.zeros(count))

    with serve(Breaking.load(str(policy), LoadOptions())) as serving:
        remote = RemoteBackend.load(
            "{}:{}".format(*serving.address), LoadOptions(config=config(act=1))
        )
        remote.bind(ROBOT)
        with pytest.raises(PolicyOutputError, match=rf"shape \({count},\), expected \(7,\)"):
            remote.act(seen(0))
    remote._close()


def test_a_robot_without_tool_and_gripper_and_a_policy_of_fourteen_joints(tmp_path, config):
    names = [f"joint_{i}" for i in range(14)]
    folder = make_checkpoint(tmp_path / "arms", joints=14, action=joint_positions(names))
    with serve(NumpyBackend.load(str(folder), LoadOptions())) as serving:
        remote = RemoteBackend.load(
            "{}:{}".format(*serving.address), LoadOptions(config=config(act=1))
        )
        remote.bind(RobotDescription(tuple(names), (), ()))
        at = dataclasses.replace(
            seen(0),
            joint_positions=np.linspace(0, 1, 14),
            joint_velocities=None,
            tool_position=None,
            tool_quaternion=None,
            gripper_width=None,
        )
        output = remote.act(at)
    remote._close()
    assert remote.info.action == joint_positions(names)
    assert remote.info.policy_action is None
    assert output.action == pytest.approx(at.joint_positions, abs=0.05)
    assert output.chunks.shape == remote.info.chunk_shape == (3, 4, 14)
