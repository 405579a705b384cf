# SPDX-License-Identifier: Apache-2.0
import itertools
import math
import time

import pytest
from geometry_msgs.msg import PoseStamped
from oversized import any_action
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from salus_msgs.msg import ActionCommand, EpisodeSetup, EpisodeStatus, Step, WorldState
from salus_msgs.srv import ResetEpisode
from sensor_msgs.msg import CameraInfo, Image, JointState

from salus_ros import qos
from salus_ros.parameters import ParameterError
from salus_sim.nodes.world_node import WorldNode
from salus_sim.scenario import sample_scenario
from salus_sim.scene import load_scene

pytestmark = pytest.mark.ros

NUMBERS = itertools.count()
STAY = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]


class Rig:
    """A world with a client that plays everything else."""

    def __init__(self, **overrides):
        given = [Parameter(name, value=value) for name, value in overrides.items()]
        namespace = f"world{next(NUMBERS)}"  # out of reach of what an earlier test has left
        self.world = WorldNode(parameter_overrides=given, namespace=namespace)
        self.node = Node("rig", namespace=namespace)
        self.got = {}
        self.listen(Step, "step")
        self.listen(JointState, "joint_states")
        self.listen(PoseStamped, "tool_pose")
        self.listen(WorldState, "world_state")
        self.listen(EpisodeSetup, "episode_setup", qos.LATCHED)
        self.listen(Image, "camera/front/image_raw", qos.image())
        self.listen(CameraInfo, "camera/front/camera_info")
        self.commands = self.node.create_publisher(ActionCommand, "command", qos.RELIABLE)
        self.status = self.node.create_publisher(EpisodeStatus, "episode", qos.LATCHED)
        self.client = self.node.create_client(ResetEpisode, "reset_episode")
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.world)
        self.executor.add_node(self.node)
        self.until(lambda: self.client.service_is_ready())
        self.until(lambda: all(self.node.count_publishers(topic) for topic in self.got))
        self.until(lambda: self.commands.get_subscription_count() == 1)
        self.settle()

    def listen(self, kind, topic, profile=qos.RELIABLE):
        self.got[topic] = []
        self.node.create_subscription(kind, topic, self.got[topic].append, profile)

    def until(self, condition, seconds=10.0):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"not within {seconds} s"
            self.executor.spin_once(timeout_sec=0.02)

    def settle(self, seconds=0.3):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.02)

    def reset(self, **request):
        future = self.client.call_async(ResetEpisode.Request(**request))
        self.until(future.done)
        return future.result()

    def command(self, step, action=STAY, episode=1):
        self.commands.publish(any_action(ActionCommand(episode=episode, step=step), action))

    def steps(self):
        return [(step.episode, step.step) for step in self.got["step"]]


@pytest.fixture
def rig(ros):
    rig = Rig()
    yield rig
    rig.executor.shutdown()


def test_a_reset_publishes_step_zero_with_one_stamp_on_every_topic(rig):
    reply = rig.reset(seed=3, instruction="take the blue cube")
    assert (reply.success, reply.episode) == (True, 1)
    rig.until(lambda: all(rig.got.values()))
    stamps = {topic: got[0].header.stamp for topic, got in rig.got.items()}
    assert len({(s.sec, s.nanosec) for s in stamps.values()}) == 1, stamps
    assert stamps["step"].sec + stamps["step"].nanosec > 0
    setup = rig.got["episode_setup"][0]
    assert (setup.seed, setup.target_object) == (3, "blue_cube")
    assert setup.instruction == "take the blue cube"
    image = rig.got["camera/front/image_raw"][0]
    assert (image.width, image.height, image.encoding) == (256, 256, "rgb8")
    assert len(rig.got["joint_states"][0].name) == 9


def test_each_command_advances_one_step(rig):
    rig.reset(seed=3)
    for step in range(3):
        rig.until(lambda step=step: (1, step) in rig.steps())
        rig.command(step)
    rig.until(lambda: (1, 3) in rig.steps())
    rig.settle()
    assert rig.steps() == [(1, 0), (1, 1), (1, 2), (1, 3)]


def test_a_command_for_a_past_step_is_refused_with_a_warning(rig, capfd):
    rig.reset(seed=3)
    rig.command(0)
    rig.until(lambda: (1, 1) in rig.steps())
    rig.command(0)
    rig.settle()
    assert rig.steps() == [(1, 0), (1, 1)]
    warning = "command for episode 1 step 0 refused: the world is at episode 1 step 1"
    assert warning in capfd.readouterr().err


@pytest.mark.parametrize("step", [1, 7])
def test_a_command_for_a_future_step_is_refused(rig, step):
    rig.reset(seed=3)
    rig.until(lambda: (1, 0) in rig.steps())
    rig.command(step)
    rig.settle()
    assert rig.steps() == [(1, 0)]


def test_a_command_of_another_episode_is_refused(rig):
    rig.reset(seed=3)
    rig.reset(seed=4)
    rig.until(lambda: (2, 0) in rig.steps())
    rig.command(0, episode=1)
    rig.settle()
    assert (2, 1) not in rig.steps()


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ([math.nan, *STAY[1:]], "refused: x is nan"),
        ([5.0, *STAY[1:]], "refused: translation of 5 m exceeds 0.1 m"),
        ([1e300, *STAY[1:]], "refused: translation of 1e+300 m exceeds 0.1 m"),
        ([*STAY[:3], 0.0, 0.0, 3.0, 1.0], "refused: rotation of 3 rad exceeds 0.6 rad"),
        ([*STAY[:6], 7.0], "refused: gripper opening of 7 is not within 0 and 1"),
    ],
)
def test_a_command_beyond_what_the_arm_can_do_is_refused_by_name(rig, capfd, action, said):
    rig.reset(seed=3)
    rig.until(lambda: (1, 0) in rig.steps())
    rig.command(0, action)
    rig.until(lambda: rig.world._refused == 1)
    assert rig.steps() == [(1, 0)]
    assert said in capfd.readouterr().err


@pytest.mark.parametrize("count", [0, 6, 14, 65])
def test_a_command_of_another_length_is_refused_with_both_lengths(ros, capfd, count):
    rig = Rig(command_timeout=0.5)
    rig.reset(seed=3)
    rig.until(lambda: (1, 0) in rig.steps())
    rig.command(0, [0.01] * count)
    rig.until(lambda: rig.world._refused == 1)
    assert rig.steps() == [(1, 0)]
    assert f"refused: the action has {count} numbers, 7 are declared" in capfd.readouterr().err
    # The pose is held instead, and that is counted.
    states = rig.got["world_state"]
    rig.until(lambda: len(states) >= 2)
    assert states[1].commands_missed == 1
    before, after = (state.tool_pose.position for state in states[:2])
    assert math.dist((before.x, before.y, before.z), (after.x, after.y, after.z)) < 2e-3
    rig.executor.shutdown()


def test_the_wall_is_among_the_objects_where_there_is_one(ros):
    rig = Rig(command_timeout=30.0)
    scene, seen = load_scene(), set()
    for seed in range(3, 9):
        rig.reset(seed=seed)
        rig.until(lambda: len(rig.got["world_state"]) == len(seen) + 1)
        wall = sample_scenario(scene, seed, "standard").obstacle
        state = rig.got["world_state"][-1]
        found = dict(zip(state.object_names, state.object_poses, strict=True))
        assert ("obstacle" in found) == (wall is not None)
        if wall is not None:
            place = found["obstacle"].position
            assert (place.x, place.y, place.z) == pytest.approx((*wall[:2], wall[5] / 2))
        seen.add((seed, wall is None))
    assert {none for _, none in seen} == {True, False}


def test_without_a_command_the_pose_is_held_and_counted(ros, capfd):
    rig = Rig(command_timeout=0.3)
    rig.reset(seed=3)
    states = rig.got["world_state"]
    rig.until(lambda: len(states) >= 3)
    assert [state.commands_missed for state in states[:3]] == [0, 1, 2]
    before, after = (state.tool_pose.position for state in states[:3:2])
    assert math.dist((before.x, before.y, before.z), (after.x, after.y, after.z)) < 2e-3
    assert "no command for episode 1 step 0" in capfd.readouterr().err


def test_an_ended_episode_stands_still(rig):
    rig.reset(seed=3)
    rig.until(lambda: (1, 0) in rig.steps())
    rig.status.publish(EpisodeStatus(episode=1, state=EpisodeStatus.STATE_SUCCEEDED))
    rig.settle()
    rig.command(0)
    rig.settle()
    assert rig.steps() == [(1, 0)]


def test_a_refused_reset_says_why(rig):
    reply = rig.reset(seed=3, difficulty="impossible")
    assert not reply.success
    assert "unknown difficulty 'impossible'" in reply.message


def test_a_reset_that_makes_no_sense_leaves_the_running_episode_alone(rig):
    rig.reset(seed=3)
    rig.command(0)
    rig.until(lambda: (1, 1) in rig.steps())
    for wrong in ({"difficulty": "impossible"}, {"fault_profile": "gremlins"}):
        reply = rig.reset(seed=4, **wrong)
        assert (reply.success, reply.episode) == (False, 1)
    rig.command(1)
    rig.until(lambda: (1, 2) in rig.steps())
    assert len(rig.got["episode_setup"]) == 1


def test_a_reset_that_the_world_cannot_start_ends_the_episode(rig, monkeypatch):
    rig.reset(seed=3)
    rig.until(lambda: (1, 0) in rig.steps())
    monkeypatch.setattr(rig.world._world, "_arm_contact", lambda: (5.0, "red_cube"))
    assert "the arm touches red_cube" in rig.reset(seed=4).message
    monkeypatch.undo()
    rig.command(0)
    rig.settle()
    assert rig.steps() == [(1, 0)]


def test_time_goes_on_over_resets(rig):
    rig.reset(seed=3)
    rig.reset(seed=3)
    rig.until(lambda: (2, 0) in rig.steps())
    first, second = ((s.header.stamp.sec, s.header.stamp.nanosec) for s in rig.got["step"][:2])
    assert second > first


def test_real_time_advances_by_the_wall_clock_and_takes_late_commands(ros):
    rig = Rig(lockstep=False)
    rig.reset(seed=3)
    rig.until(lambda: len(rig.steps()) >= 5)
    number = rig.steps()[-1][1]
    before = rig.got["world_state"][-1].commands_missed
    assert before >= number - 1
    states = rig.got["world_state"]
    start = states[-1].tool_pose.position.x

    def moved():
        rig.command(rig.steps()[-1][1], [0.01, *STAY[1:]])
        return states[-1].tool_pose.position.x - start > 0.02

    rig.until(moved)


def test_real_time_takes_no_command_back_and_tells_when_commands_stay_away(ros, capfd):
    rig = Rig(lockstep=False)
    rig.reset(seed=3)
    rig.until(lambda: "no command for 3 control periods: holding" in capfd.readouterr().err)
    steps = rig.got["step"]
    last = len(steps)
    rig.until(lambda: len(steps) > last + 1)
    for moment in (steps[-1], steps[-2]):  # both are recent enough, but the second one is older
        command = ActionCommand(header=moment.header, episode=1, step=moment.step, action=STAY)
        rig.world._on_command(command)
    assert rig.world._refused == 1
    rig.until(lambda: "commands come again after" in capfd.readouterr().err)
    rig.executor.shutdown()


def test_real_time_gives_the_first_command_a_whole_period(ros):
    rig = Rig(lockstep=False)
    observed = {}
    publish = rig.world._publish
    rig.world._publish = lambda: (
        publish(),
        observed.setdefault(rig.world._episode, []).append(time.monotonic()),
    )
    for episode in range(1, 6):
        rig.reset(seed=3)  # until then the last episode goes on
        rig.until(lambda episode=episode: len(observed.get(episode, ())) > 1)
        first, second = observed[episode][:2]
        assert second - first >= 0.033
        rig.settle(0.007 * episode)  # elsewhere between two periods each time


def test_camera_info_is_sent_to_those_who_listen_only(rig):
    sent = []
    for camera, publisher in rig.world._infos.items():
        publish = publisher.publish
        publisher.publish = lambda m, c=camera, p=publish: (sent.append(c), p(m))
    rig.reset(seed=3)
    rig.until(lambda: rig.got["camera/front/camera_info"])
    assert sent == ["front"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"cameras": ["front", "back"]}, "no camera 'back': use front, side, wrist"),
        ({"difficulty": "impossible"}, "unknown difficulty"),
        ({"fault_profile": "gremlins"}, "unknown fault profile"),
        ({"wording": "louder"}, "parameter 'wording' must be one of 'seen', 'unseen'"),
        ({"scene_file": "nowhere.yaml"}, "nowhere.yaml"),
        ({"comand_timeout": 1.0}, "did you mean 'command_timeout'"),
    ],
)
def test_a_bad_parameter_keeps_the_world_from_starting(ros, overrides, message):
    given = [Parameter(name, value=value) for name, value in overrides.items()]
    with pytest.raises(ParameterError, match=message):
        WorldNode(parameter_overrides=given)
