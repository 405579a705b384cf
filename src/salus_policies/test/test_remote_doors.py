# SPDX-License-Identifier: Apache-2.0
"""A policy server beside clients that are slow, silent, unknown or announce too much."""

import contextlib
import shutil
import socket
import subprocess
import threading
import time

import numpy as np
import pytest
from numpy_backend import NumpyBackend, make_checkpoint
from test_action_space import ROBOT, observation

from salus_policies.backends.base import BackendError, LoadOptions, PolicyOutputError
from salus_policies.backends.remote import protocol, server
from salus_policies.backends.remote.backend import RemoteBackend, Timeouts
from salus_policies.backends.remote.protocol import PREFIX, Message
from salus_policies.backends.remote.security import (
    ClientSecurity,
    is_local,
    read_token,
    server_context,
)

TOKEN = "0123456789abcdef0123456789abcdef"
SEEN = observation(images={"front": np.zeros((32, 32, 3), np.uint8)})


@pytest.fixture
def serve(tmp_path):
    """Serves a small policy on a thread."""
    policy = str(make_checkpoint(tmp_path / "policy"))
    running = []

    def start(clients=1, **options):
        backends = [NumpyBackend.load(policy, LoadOptions()) for _ in range(clients)]
        running.append(server.PolicyServer(backends, "127.0.0.1", 0, **options))
        threading.Thread(target=running[-1].serve, daemon=True).start()
        return running[-1].address

    yield start
    for one in running:
        one.close()


def client(address, security=None, act=2.0):
    backend = RemoteBackend(address, Timeouts(connect=2.0, act=act), security)
    backend._info = backend._connect(time.monotonic() + 2.0)
    backend.bind(ROBOT)
    return backend


def hello(token=""):
    return Message("hello", {"protocol": protocol.PROTOCOL, "token": token})


def half_a_frame(connection):
    connection.sendall(PREFIX.pack(b"SLVP", 100, 0)[:10])


def announce_a_gigabyte(connection):
    connection.sendall(PREFIX.pack(b"SLVP", 100, 1 << 30))


def show_another_token(connection):
    protocol.send(connection, hello("another token that is long enough"))


def say_nothing(connection):
    pass


def drip(connection):
    with contextlib.suppress(OSError):
        for byte in PREFIX.pack(b"SLVP", 100, 0):
            connection.sendall(bytes([byte]))
            time.sleep(0.1)


@pytest.mark.parametrize(
    "bad", [half_a_frame, announce_a_gigabyte, show_another_token, say_nothing, drip]
)
def test_a_bad_client_is_dropped_and_costs_the_others_nothing(serve, monkeypatch, bad):
    monkeypatch.setattr(server, "HELLO_PATIENCE", 0.5)
    address = serve(token=TOKEN)
    with socket.create_connection(address, timeout=5) as connection:
        threading.Thread(target=bad, args=(connection,), daemon=True).start()
        good = client(address, ClientSecurity(TOKEN))
        for _ in range(5):
            good.act(SEEN)
        end = time.monotonic() + 5
        with contextlib.suppress(OSError):
            while connection.recv(4096):
                assert time.monotonic() < end
        good.act(SEEN)


@pytest.mark.parametrize("after_hello", [half_a_frame, announce_a_gigabyte])
def test_a_client_that_breaks_off_within_a_message_gives_the_policy_back(
    serve, monkeypatch, after_hello
):
    monkeypatch.setattr(server, "MESSAGE_PATIENCE", 0.3)
    address = serve()
    with socket.create_connection(address, timeout=5) as connection:
        protocol.send(connection, hello())
        assert protocol.receive(connection).kind == "welcome"
        after_hello(connection)
        while connection.recv(4096):
            pass
        client(address).act(SEEN)


def test_a_silent_client_gives_way_to_another_one(serve):
    address = serve(idle=0.3)
    first = client(address, act=0.2)
    with pytest.raises(OSError, match="busy"):
        client(address)
    time.sleep(0.35)
    second = client(address)
    second.act(SEEN)
    with pytest.raises(PolicyOutputError, match="busy"):
        first.act(SEEN)


def test_several_clients_are_served_at_a_time_if_the_policy_is_loaded_for_each(serve):
    address = serve(clients=2)
    one, two = client(address), client(address)
    assert np.array_equal(one.act(SEEN).action, two.act(SEEN).action)
    with pytest.raises(OSError, match="busy"):
        client(address)


def test_connections_are_bounded(serve, monkeypatch):
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 3)
    address = serve()
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(socket.create_connection(address))
        time.sleep(0.1)
        late = stack.enter_context(socket.create_connection(address, timeout=2))
        assert late.recv(1) == b""


def test_a_dripping_server_does_not_stretch_the_clients_time():
    listener = socket.create_server(("127.0.0.1", 0))

    def answer_slowly():
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            while True:
                connection.sendall(b"S")
                time.sleep(0.1)

    threading.Thread(target=answer_slowly, daemon=True).start()
    backend = RemoteBackend(listener.getsockname(), Timeouts())
    begin = time.monotonic()
    with pytest.raises(TimeoutError):
        backend._connect(time.monotonic() + 0.5)
    assert time.monotonic() - begin < 1.5
    listener.close()


def test_without_the_token_nobody_is_served_and_the_remedy_is_told(serve):
    address = serve(token=TOKEN)
    with pytest.raises(OSError, match="give both the same"):
        client(address)
    client(address, ClientSecurity(TOKEN)).act(SEEN)


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [(TOKEN, 0o644, "chmod 600"), ("short", 0o600, "at least 16"), (None, 0, "cannot be read")],
)
def test_a_token_file_that_is_none_is_refused(tmp_path, content, mode, said):
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content)
        path.chmod(mode)
    with pytest.raises(BackendError, match=said):
        read_token(str(path))


@pytest.mark.parametrize(
    ("host", "local"), [("127.0.0.1", True), ("localhost", True), ("0.0.0.0", False), ("", False)]
)
def test_it_is_known_whether_other_machines_reach_an_address(host, local):
    assert is_local(host) == local


def test_beyond_this_machine_a_server_starts_only_if_it_knows_its_clients(tmp_path, caplog):
    checkpoint = str(make_checkpoint(tmp_path / "policy"))
    arguments = ["--policy", "numpy_backend:NumpyBackend", "--checkpoint", checkpoint]
    assert server.main([*arguments, "--host", "0.0.0.0", "--port", "0"]) == 1
    assert "clients must show who they are: give --token-file" in caplog.text


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """An authority, and certificates of it for a server and a client."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the program openssl")
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl(*new, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test authority")
    for name in ("server", "client"):
        extra = ("-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "subjectAltName=IP:127.0.0.1")
        keys = ("-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}")
        openssl(*new, *extra, *keys)
    return folder


def test_mutual_tls_serves_those_with_a_certificate_of_the_authority(serve, certificates):
    def file(name):
        return str(certificates / name)

    context = server_context(file("server.pem"), file("server.key"), file("ca.pem"))
    address = serve(context=context)
    settings = {"tls_authority": file("ca.pem")}
    own = {"tls_certificate": file("client.pem"), "tls_key": file("client.key")}
    client(address, ClientSecurity.of({**settings, **own})).act(SEEN)
    for security in (ClientSecurity.of(settings), ClientSecurity()):
        with pytest.raises(OSError, match=r".+"):
            client(address, security)
