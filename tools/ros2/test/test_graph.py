# SPDX-License-Identifier: Apache-2.0
"""Topics, nodes, parameters, managed nodes and bags, over a real ROS graph."""

import signal
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.ros
TALKER = Path(__file__).with_name("talker.py")


@pytest.fixture
def talker(start):
    node = start(TALKER, script=True)
    node.wait_for("talking")
    return node


def eventually(look, condition, seconds=40.0):
    """Look until a condition holds: a busy machine discovers a node late."""
    deadline = time.monotonic() + seconds
    while not condition(seen := look()):
        assert time.monotonic() < deadline, seen
        time.sleep(1.0)


def test_a_latched_message_is_echoed_to_a_late_subscriber(ros2, talker):
    code, output = ros2("topic", "echo", "/robot/status", "--once")
    assert code == 0
    assert output == "data: latched\n---\n"


def test_echo_prints_fields_and_cuts_what_is_long(ros2, talker):
    code, output = ros2("topic", "echo", "/robot/joints", "--once")
    assert code == 0
    assert "frame_id: base\nname:\n- a\n- b\nposition:\n- 0.0\n- 1.0\n" in output
    assert output.count("\n- ") == 2 + 128 + 1
    assert "- '...'\n" in output
    _, output = ros2("topic", "echo", "/robot/joints", "--once", "--full-length")
    assert output.count("\n- ") == 2 + 200
    _, output = ros2("topic", "echo", "/robot/joints", "--once", "--field", "header.frame_id")
    assert output == "base\n---\n"


def test_echo_of_an_unknown_topic_says_so(ros2):
    code, output = ros2("topic", "echo", "/nothing", "--once", "--spin-time", "0.5")
    assert code == 1
    assert "topic [/nothing] does not appear to be published yet" in output


def test_lists_show_topics_nodes_and_types(ros2, talker):
    joints = "/robot/joints [sensor_msgs/msg/JointState]\n"
    eventually(lambda: ros2("topic", "list", "-t")[1], lambda topics: joints in topics)
    # Nodes that an earlier test killed stay in the graph until their lease of 20 s ends.
    eventually(lambda: ros2("node", "list")[1], lambda nodes: nodes == "/robot/talker\n")
    _, output = ros2("topic", "info", "-v", "/robot/status")
    assert "Publisher count: 1" in output
    assert "Durability: TRANSIENT_LOCAL" in output


def test_hz_measures_the_rate(start, talker):
    meter = start("topic", "hz", "/robot/joints", "--window", "20")
    meter.wait_for("average rate:")
    meter.interrupt()
    rate = float(meter.output().split("average rate:")[1].split()[0])
    assert 30.0 < rate < 70.0  # published at 50 Hz; the machine may be busy


def test_parameters_are_read_and_changed(ros2, talker):
    assert ros2("param", "get", "/robot/talker", "gain")[1] == "Double value is: 1.5\n"
    assert ros2("param", "set", "/robot/talker", "gain", "2.0") == (0, "Set parameter successful\n")
    assert ros2("param", "get", "/robot/talker", "gain", "--hide-type")[1] == "2.0\n"
    assert "  gain\n" in ros2("param", "list", "/robot/talker")[1]


def test_a_managed_node_is_configured_by_hand(ros2, talker):
    assert ros2("lifecycle", "get", "/robot/talker")[1] == "unconfigured [1]\n"
    assert ros2("lifecycle", "set", "/robot/talker", "configure")[0] == 0
    assert ros2("lifecycle", "get", "/robot/talker")[1] == "inactive [2]\n"
    code, output = ros2("lifecycle", "set", "/robot/talker", "configure")
    assert code == 1
    assert "- activate [3]" in output


def test_a_service_is_called(ros2, talker):
    code, output = ros2(
        "service",
        "call",
        "/robot/talker/get_parameters",
        "rcl_interfaces/srv/GetParameters",
        "{names: [gain]}",
    )
    assert code == 0
    assert "double_value=1.5" in output


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_bag_is_recorded_described_and_played(ros2, start, talker, tmp_path, storage):
    recorder = start("bag", "record", "-o", "bag", "-s", storage, "/robot/joints", "/robot/status")
    recorder.wait_for("Subscribed to topic '/robot/joints'")
    recorder.wait_for("Subscribed to topic '/robot/status'")
    ros2("topic", "list")  # a second passes
    assert recorder.interrupt() == 0
    talker.interrupt(signal.SIGKILL)
    code, output = ros2("bag", "info", "bag")
    assert code == 0
    assert f"Storage id:        {storage}\n" in output
    assert "Topic: /robot/status | Type: std_msgs/msg/String | Count: 1 |" in output
    metadata = (tmp_path / "bag" / "metadata.yaml").read_text()
    assert "RIHS01_" in metadata
    assert "durability: transient_local" in metadata

    echo = start(
        "topic",
        "echo",
        "/again/status",
        "std_msgs/msg/String",
        "--qos-durability",
        "transient_local",
        "--qos-reliability",
        "reliable",
        "--once",
    )
    clock = start("topic", "echo", "/clock", "rosgraph_msgs/msg/Clock", "--once")
    code, output = ros2(
        "bag",
        "play",
        "bag",
        "--clock",
        "--rate",
        "2.0",
        "--remap",
        "/robot/status:=/again/status",
        "/robot/joints:=/again/joints",
        "--delay",
        "2.0",
    )
    assert code == 0
    assert echo.wait() == 0
    assert echo.output() == "data: latched\n---\n"
    assert clock.wait() == 0
    assert "clock:\n  sec:" in clock.output()


def test_a_bag_of_another_tool_can_read_ours(ros2, start, talker, tmp_path):
    recorder = start("bag", "record", "-o", "bag", "/robot/joints")
    recorder.wait_for("Subscribed to topic '/robot/joints'")
    ros2("topic", "list")
    recorder.interrupt()
    from mcap.reader import make_reader

    with (tmp_path / "bag" / "bag.mcap").open("rb") as file:
        reader = make_reader(file)
        (schema,) = reader.get_summary().schemas.values()
        messages = sum(1 for _ in reader.iter_messages())
    assert schema.name == "sensor_msgs/msg/JointState"
    assert "MSG: std_msgs/Header\n" in schema.data.decode()
    assert "MSG: builtin_interfaces/Time\n" in schema.data.decode()
    assert messages > 10


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_killed_recording_can_be_read(start, talker, tmp_path, storage):
    from salus_core.bags.mcap_file import McapFile
    from salus_core.bags.sqlite_file import SqliteFile

    recorder = start("bag", "record", "-o", "bag", "-s", storage, "/robot/status")
    file = tmp_path / "bag" / ("bag.mcap" if storage == "mcap" else "bag.db3")
    read = McapFile if storage == "mcap" else SqliteFile
    recorder.wait_for("Subscribed to topic '/robot/status'")
    deadline = time.monotonic() + 40.0
    # Its only message would wait for a chunk of 1 MiB, or for the end, if nothing flushed.
    while not file.exists() or not _count(read(file)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    recorder.interrupt(signal.SIGKILL)
    assert not (tmp_path / "bag" / "metadata.yaml").exists()
    assert _count(read(file)) == 1


def _count(file):
    """Messages of a file that is being written; 0 while it cannot be read yet."""
    from salus_core.bags.errors import BagError

    try:
        return sum(1 for _ in file.messages())
    except BagError:
        return 0


def test_a_paused_player_waits_for_resume(ros2, start, talker):
    recorder = start("bag", "record", "-o", "bag", "/robot/joints")
    recorder.wait_for("Subscribed to topic '/robot/joints'")
    ros2("topic", "list")
    recorder.interrupt()
    talker.interrupt(signal.SIGKILL)
    player = start("bag", "play", "bag", "--start-paused")
    code, _ = ros2("service", "call", "/rosbag2_player/resume", "std_srvs/srv/Trigger")
    assert code == 0
    assert player.wait() == 0


def test_bag_errors_name_the_bag(ros2, tmp_path):
    code, output = ros2("bag", "info", "nowhere")
    assert code == 1
    assert "cannot read the bag 'nowhere'" in output
    (tmp_path / "there").mkdir()
    code, output = ros2("bag", "record", "-a", "-o", "there")
    assert code == 1
    assert "there exists already" in output
    assert ros2("bag", "record")[0] == 1


def test_packages_and_interfaces_are_found(ros2):
    assert "\nstd_msgs\n" in ros2("pkg", "list")[1]
    assert Path(ros2("pkg", "prefix", "std_msgs")[1].strip()).is_dir()
    assert ros2("pkg", "prefix", "no_such") == (1, "Package 'no_such' not found\n")
    _, output = ros2("interface", "show", "std_msgs/msg/Header")
    assert "builtin_interfaces/Time stamp\n\tint32 sec\n\tuint32 nanosec\n" in output
    assert "    std_srvs/srv/Trigger\n" in ros2("interface", "list", "-s")[1]


def test_unknown_commands_are_refused(ros2):
    code, output = ros2("doctor")
    assert code == 2
    assert "unknown command 'doctor'" in output
    code, output = ros2("run", "std_msgs", "nothing")
    assert code == 1
    assert "No executable found: package 'std_msgs' has none" in output
