# SPDX-License-Identifier: Apache-2.0
"""The commands of docs/tutorials/your_robot.md, with fewer episodes, for each fake robot."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from salus_core.episode_store import open_dataset
from salus_core.predictors.checkpoint import load_checkpoint

pytestmark = [pytest.mark.ros, pytest.mark.slow]

ROOT = next(p for p in Path(__file__).resolve().parents if (p / "examples").is_dir())
ROBOTS = ROOT / "examples/fake_robots"
TUTORIAL = (ROOT / "docs/tutorials/your_robot.md").read_text()
EPISODES = 24


def controller(robot):
    """Launch arguments of the tutorial's table."""
    return re.search(rf"^\| `{robot}` \| `(controller:=.*)` \|$", TUTORIAL, re.MULTILINE)[1]


def command(start, robot):
    """A command of the tutorial as it is for a robot."""
    (found, *_) = re.findall(rf"^    ({re.escape(start)}(?:.*\\\n)*.*)$", TUTORIAL, re.MULTILINE)
    text = found.replace("\\\n", " ").replace(controller("so101"), controller(robot))
    return shlex.split(re.sub(r"\bso101\b", robot, text))


def launch(arguments, environment, folder):
    log = (folder / "launch.log").open("a")
    return subprocess.Popen(
        ["ros2", "launch", "--noninteractive", *arguments[2:]],
        env=environment,
        cwd=folder,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def wait_for(text, log, times):
    end = time.monotonic() + 120
    while log.read_text().count(text) < times:
        assert time.monotonic() < end, log.read_text()[-3000:]
        time.sleep(0.2)


def run(arguments, environment, folder):
    done = subprocess.run(
        arguments, env=environment, cwd=folder, capture_output=True, text=True, timeout=1800
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("robot", ["so101", "aloha", "ur5e"])
def test_a_robot_is_recorded_learned_from_and_warned_of(robot, ros2, tmp_path):
    for path in ROBOTS.glob("*.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    environment = {
        **ros2,
        "PYTHONPATH": os.pathsep.join([str(tmp_path), ros2.get("PYTHONPATH", "")]),
        "FASTRTPS_DEFAULT_PROFILES_FILE": str(tmp_path / "large_images.xml"),
    }
    log = tmp_path / "launch.log"
    log.touch()
    python = [sys.executable]
    run([*python, *command("python policy.py", robot)[1:]], environment, tmp_path)
    for part, (more, episodes) in enumerate((([], EPISODES), (["predictor:="], 4)), start=1):
        arguments = command("ros2 launch salus monitor.launch.py", robot)
        if more:
            arguments = [one for one in arguments if not one.startswith("output:=")]
            arguments += ["output:=runs_with_alarm", "predictor:=predictor/checkpoint"]
        process = launch(arguments, environment, tmp_path)
        try:
            wait_for("[salus.vla]", log, part)
            time.sleep(10.0)
            fake = command("python fake_robot.py", robot)[1:]
            fake[fake.index("--episodes") + 1] = str(episodes)
            run([*python, *fake, "--seed", str(part)], environment, tmp_path)
            time.sleep(3.0)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)
        if part == 1:
            train = command("salus train outcome", robot)
            said = run(
                [*python, "-m", "salus_core.commands.train", *train[2:]], environment, tmp_path
            )
            print(said)
    recorded = open_dataset(tmp_path / "runs")
    assert len(recorded) == EPISODES
    assert all(episode.instruction == "reach the bars" for episode in recorded)
    warned = open_dataset(tmp_path / "runs_with_alarm")
    assert len(warned) == 4
    assert any((episode["forecast_status"] == 0).any() for episode in warned)
    _, manifest = load_checkpoint(tmp_path / "predictor/checkpoint")
    print(json.dumps(manifest["cross_validation"]["roc_auc"], indent=1))
    assert manifest["cross_validation"]["roc_auc"]["outcome"]["value"] > 0.7
