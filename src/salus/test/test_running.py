"""A collection while it runs: what others see of it, and what happens when a part of it dies."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import rclpy
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy

pytestmark = pytest.mark.ros

ROOT = Path(__file__).resolve().parents[3]
NODES = ("world", "referee", "vla", "predictor", "supervisor", "recorder", "episode_runner")


class Collection:
    """`ros2 launch salus collect.launch.py` in the background, read line by line."""

    def __init__(self, environment, folder, *arguments):
        self.lines = []
        self.process = subprocess.Popen(
            [
                *("ros2", "launch", "--noninteractive", "salus", "collect.launch.py"),
                f"output:={folder}/runs",
                *arguments,
            ],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def read_until(self, text):
        for line in self.process.stdout:
            self.lines.append(line)
            if text in line:
                return
        pytest.fail(f"ended without {text!r}:\n{''.join(self.lines[-40:])}")

    def pids(self):
        found = re.findall(
            r"\[(\w+)-\d+\]: process started with pid \[(\d+)\]", "".join(self.lines)
        )
        return {name: int(pid) for name, pid in found}

    def finish(self, timeout=60):
        output, _ = self.process.communicate(timeout=timeout)
        self.lines.append(output)
        return self.process.returncode, "".join(self.lines)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture(scope="module")
def running(ros2, tmp_path_factory):
    collection = Collection(ros2, tmp_path_factory.mktemp("running"), "episodes:=1000")
    collection.read_until("episode 1/1000")
    yield collection
    collection.process.send_signal(signal.SIGINT)
    collection.finish()


@pytest.fixture(scope="module")
def graph(ros2, running):
    os.environ.update({k: ros2[k] for k in ("ROS_DOMAIN_ID", "ROS_AUTOMATIC_DISCOVERY_RANGE")})
    rclpy.init(args=[])
    node = rclpy.create_node("watcher")
    end = time.monotonic() + 20
    while time.monotonic() < end and set(NODES) - set(node.get_node_names()):
        time.sleep(0.1)
    time.sleep(1.0)  # endpoints come after their nodes
    yield node
    node.destroy_node()
    rclpy.try_shutdown()


def documented_topics():
    """Rows of the table of topics in docs/architecture.md."""
    text = (ROOT / "docs/architecture.md").read_text()
    rows = re.findall(
        r"^\| `([\w/{}*,]+)` \| (\S+) \| ([^|]*) \| ([^|]*) \| ([^|]*) \|$", text, re.M
    )
    for topic, kind, publishers, subscribers, quality in rows:
        names = re.search(r"\{(.*)\}", topic)
        for name in names[1].split(",") if names else [""]:
            yield pytest.param(
                re.sub(r"\{.*\}", name, topic),
                kind,
                set(re.findall(r"\w+", publishers)),
                set(re.findall(r"\w+", subscribers)),
                quality.strip(),
                id=re.sub(r"\{.*\}", name, topic),
            )


@pytest.mark.parametrize(
    ("topic", "kind", "publishers", "subscribers", "quality"), list(documented_topics())
)
def test_the_documented_table_of_topics_is_the_live_graph(
    graph, topic, kind, publishers, subscribers, quality
):
    name = topic if topic.startswith("/") else f"/salus/{topic}"
    offered = graph.get_publishers_info_by_topic(name)
    assert {info.node_name for info in offered} == publishers
    assert {info.topic_type for info in offered} == {kind.replace("/", "/msg/")}
    for info in offered:
        assert info.qos_profile.reliability == ReliabilityPolicy.RELIABLE
        latched = info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
        assert latched == quality.startswith("latched")
    wanted = {info.node_name for info in graph.get_subscriptions_info_by_topic(name)}
    assert wanted == subscribers


def test_no_topic_is_undocumented(graph):
    documented = {parameter.values[0] for parameter in documented_topics()}
    live = {
        name.removeprefix("/salus/")
        for name, _ in graph.get_topic_names_and_types()
        if name.startswith("/salus/")
    }
    hidden = {name for name in live if name.endswith("transition_event")}
    assert live - hidden <= documented


def test_a_second_terminal_sees_the_latched_status_at_once(ros2, running, tmp_path):
    echo = subprocess.run(
        ["ros2", "topic", "echo", "/salus/episode", "--once"],
        env=ros2,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert re.search(r"^episode: \d+$", echo.stdout, re.M)
    assert re.search(r"^instruction: \S+", echo.stdout, re.M)


def test_ctrl_c_ends_every_process_and_keeps_what_is_committed(ros2, tmp_path):
    collection = Collection(ros2, tmp_path, "episodes:=1000", "difficulty:=easy")
    collection.read_until("episode 1/1000")
    collection.process.send_signal(signal.SIGINT)
    _, output = collection.finish()
    assert "Traceback" not in output
    assert not [pid for pid in collection.pids().values() if alive(pid)]
    (run,) = (tmp_path / "runs").iterdir()
    assert (run / "data.zarr").is_dir()


@pytest.mark.parametrize("victim", ["supervisor_node", "world_node"])
def test_a_node_that_dies_ends_everything_with_code_1(ros2, tmp_path, victim):
    collection = Collection(ros2, tmp_path, "episodes:=1000", "difficulty:=easy")
    collection.read_until("episode 1/1000")
    os.kill(collection.pids()[victim], signal.SIGKILL)
    code, output = collection.finish()
    assert code == 1
    assert re.search(rf"{victim}-\d+ ended with code -9", output)
    assert not [pid for pid in collection.pids().values() if alive(pid)]


def test_two_worlds_run_side_by_side_in_two_namespaces(ros2, tmp_path):
    collections = []
    for name, seed in (("left", 11), ("right", 22)):
        folder = tmp_path / name
        folder.mkdir()
        arguments = (f"namespace:={name}", "clock:=clock", f"seed:={seed}", "episodes:=1")
        collections.append(Collection(ros2, folder, *arguments, "difficulty:=easy"))
    for collection, seed in zip(collections, (11, 22), strict=True):
        code, output = collection.finish(timeout=300)
        assert code == 0, output[-4000:]
        assert f"seed {seed}" in output
        assert "commands missed   0" in output
