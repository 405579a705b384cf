# SPDX-License-Identifier: Apache-2.0
"""A collection in real time for an hour, disturbed at random: does anything grow or slow down?

    python benchmarks/endurance.py [--minutes 60] [--seed 0] [--output FOLDER]

Launches collect in real time with injected faults. Every 20 s to 60 s one of its nodes is stopped
for 0.2 s to 3 s (SIGSTOP, SIGCONT), or a topic is flooded with messages of another publisher.
Samples memory and handles of every node, and measures the time from an observation to its command
and to its forecast. Writes endurance.json, endurance.png and the log of the launch into the folder,
and prints a summary; exit code 1 if a process ended, memory or handles grew, or a gap is not in the
log.
"""

import argparse
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib
import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from salus_msgs.msg import ActionCommand, FailureForecast, Step, VlaSignals

from salus_core.episode_store import open_run
from salus_ros import qos

matplotlib.use("agg")
import matplotlib.pyplot as plt

NODES = ("world", "referee", "vla", "predictor", "supervisor", "recorder", "episode_runner")
STOPPED = ("world", "referee", "vla", "predictor", "supervisor", "recorder")
FLOODED = {"step": Step, "vla_signals": VlaSignals, "command": ActionCommand}
FLOODED_EPISODE = 4_000_000_000
FLOOD = 2000
"""Messages of a flood."""
SAMPLE_PERIOD = 5.0
WARM_UP = 300.0
"""Growth is counted from here on: caches and allocators have settled [s]."""
GROWTH_MB = 30.0
"""Memory that a node may gain after the warm-up: fragmentation, not a leak of one step in ten."""
NEAR = 4.0
"""A gap belongs to a disturbance that was at most this much earlier [s]."""
GAPS = re.compile(r"episode (\d+): (\d+) of (\d+) steps have gaps; missing: (.*)")


@dataclass
class Seen:
    """What the graph shows from outside; times are those of sending [s]."""

    steps: dict[tuple[int, int], float] = field(default_factory=dict)
    commands: list[tuple[float, float]] = field(default_factory=list)
    forecasts: list[tuple[float, float]] = field(default_factory=list)


class Watcher:
    """Pairs each observation with its command and its forecast, on a thread of its own."""

    def __init__(self) -> None:
        self.seen = Seen()
        rclpy.init(args=[])
        self._node = rclpy.create_node("endurance", namespace="salus")
        for kind, topic, callback in (
            (Step, "step", self._on_step),
            (ActionCommand, "command", self._on_answer(self.seen.commands)),
            (FailureForecast, "failure_forecast", self._on_answer(self.seen.forecasts)),
        ):
            self._node.create_subscription(kind, topic, callback, qos.RELIABLE)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        with contextlib.suppress(ExternalShutdownException):
            self._executor.spin()

    def _on_step(self, message, info) -> None:
        self.seen.steps.setdefault((message.episode, message.step), info["source_timestamp"] * 1e-9)

    def _on_answer(self, found):
        answered = set()

        def on_message(message, info):
            # A hold repeats the command of its step, and floods have steps of their own.
            key = (message.episode, message.step)
            observed = None if key in answered else self.seen.steps.get(key)
            answered.add(key)
            if observed is not None and message.episode != FLOODED_EPISODE:
                sent = info["source_timestamp"] * 1e-9
                found.append((sent, sent - observed))

        return on_message

    def flood(self, topic: str) -> None:
        """Many messages with nonsense in them, from a publisher that should not be there."""
        publisher = self._node.create_publisher(FLOODED[topic], topic, qos.RELIABLE)
        message = FLOODED[topic]()
        message.episode = FLOODED_EPISODE
        for _ in range(FLOOD):
            publisher.publish(message)
        time.sleep(1.0)
        self._node.destroy_publisher(publisher)

    def close(self) -> None:
        """End the thread and the node."""
        self._executor.shutdown()
        rclpy.try_shutdown()
        self._thread.join(5.0)


def pids(log: Path) -> dict[str, int]:
    """Process of each node."""
    started = r"\[(\w+?)(?:_node)?-\d+\]: process started with pid \[(\d+)\]"
    return {name: int(pid) for name, pid in re.findall(started, log.read_text())}


def sample(processes: dict[str, int]) -> dict[str, tuple[float, int]]:
    """Resident memory [MB] and open handles of each node."""
    found = {}
    for name, pid in processes.items():
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        megabytes = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
        found[name] = (megabytes, len(os.listdir(f"/proc/{pid}/fd")))
    return found


def disturb(processes, watcher, rng, kind) -> str:
    """Do one thing that no graph should suffer from; returns its name."""
    if kind == "flood":
        topic = rng.choice(sorted(FLOODED))
        watcher.flood(topic)
        return f"flood of {topic}"
    name = rng.choice(STOPPED)
    os.kill(processes[name], signal.SIGSTOP)
    try:
        time.sleep(rng.uniform(0.2, 3.0))
    finally:
        os.kill(processes[name], signal.SIGCONT)
    return f"stop of {name}"


def run(minutes: float, seed: int, folder: Path) -> dict:
    """Run the collection; returns samples, disturbances and answers, on one time axis [s]."""
    rng = random.Random(seed)
    log = folder / "launch.log"
    command = ["ros2", "launch", "--noninteractive", "salus", "collect.launch.py"]
    command += ["episodes:=100000", "lockstep:=false", "faults:=mixed", f"seed:={seed}"]
    samples, disturbances = [], []
    with log.open("w") as output:
        launched = subprocess.Popen(
            [*command, f"output:={folder / 'runs'}"],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    watcher = Watcher()
    try:
        while not watcher.seen.commands:
            if launched.poll() is not None:
                sys.exit(f"the collection ended at once: see {log}")
            time.sleep(0.2)
        begin, processes = time.time(), pids(log)
        due, sampled = begin + rng.uniform(20.0, 60.0), 0.0
        while launched.poll() is None and time.time() < begin + 60.0 * minutes:
            try:
                if time.time() - sampled >= SAMPLE_PERIOD:
                    sampled = time.time()
                    samples.append((sampled - begin, sample(processes)))
                if time.time() < due:
                    time.sleep(0.1)
                    continue
                start = time.time()
                kind = "flood" if rng.random() < 0.15 else "stop"
                what = disturb(processes, watcher, rng, kind)
            except (FileNotFoundError, ProcessLookupError):
                break  # a process has ended: what there is is judged
            else:
                disturbances.append((start - begin, time.time() - begin, what))
                due = time.time() + rng.uniform(20.0, 60.0)
                print(f"{(time.time() - begin) / 60:5.1f} min  {what}", flush=True)
        ended_early = time.time() < begin + 60.0 * minutes
    finally:
        launched.send_signal(signal.SIGINT)
        launched.wait(120)
        watcher.close()
    seen = watcher.seen
    return {
        "ended_early": ended_early,
        "samples": samples,
        "disturbances": disturbances,
        "commands": [(when - begin, delay) for when, delay in seen.commands],
        "forecasts": [(when - begin, delay) for when, delay in seen.forecasts],
        "steps": {key: when - begin for key, when in seen.steps.items()},
    }


def growth(samples, which: int) -> dict[str, float]:
    """What each node has more of in its last tenth than after the warm-up."""
    times = np.array([when for when, _ in samples])
    first = (times >= WARM_UP) & (times < WARM_UP + 0.1 * (times[-1] - WARM_UP))
    last = times >= times[-1] - 0.1 * (times[-1] - WARM_UP)
    values = {n: np.array([one[n][which] for _, one in samples], dtype=float) for n in NODES}
    return {n: float(np.median(v[last]) - np.median(v[first])) for n, v in values.items()}


def gaps(folder: Path, result) -> dict:
    """Gaps of the recording, those that the log names, and those near a disturbance."""
    told = {int(m[0]): int(m[1]) for m in GAPS.findall((folder / "launch.log").read_text())}
    found = dict(episodes=0, steps=0, gaps=0, in_log=0, near=0)
    for path in sorted((folder / "runs").iterdir()):
        for episode in open_run(path):
            found["episodes"] += 1
            found["steps"] += episode.length
            found["gaps"] += episode.gaps
            found["in_log"] += episode.gaps if told.get(episode.number) == episode.gaps else 0
            for step in np.flatnonzero(~episode["complete"]):
                when = result["steps"].get((episode.number, int(step)), np.nan)
                found["near"] += any(
                    start - 1.0 <= when <= end + NEAR for start, end, _ in result["disturbances"]
                )
    return found


def undisturbed(result, answers) -> np.ndarray:
    """Times and delays away from any disturbance, shape (answers, 2)."""
    rows = np.array(answers).reshape(-1, 2)
    keep = np.ones(len(rows), dtype=bool)
    for start, end, _ in result["disturbances"]:
        keep &= ~((rows[:, 0] >= start - 0.5) & (rows[:, 0] <= end + NEAR))
    return rows[keep]


def summarise(result, found) -> tuple[dict, bool]:
    """The figures, and whether nothing grew and nothing is unexplained."""
    memory, handles = growth(result["samples"], 0), growth(result["samples"], 1)
    delays = {}
    for name in ("commands", "forecasts"):
        rows = undisturbed(result, result[name])
        halves = np.array_split(rows[:, 1], 2)
        delays[name] = [[float(1e3 * np.percentile(h, q)) for q in (50, 99)] for h in halves]
    good = (
        not result["ended_early"]
        and max(memory.values()) < GROWTH_MB
        and max(handles.values()) <= 2
        and found["in_log"] == found["gaps"]
    )
    figures = {
        "minutes": result["samples"][-1][0] / 60,
        "disturbances": len(result["disturbances"]),
        "memory_growth_mb": memory,
        "handle_growth": handles,
        "delay_ms_p50_p99_by_half": delays,
        "gaps": found,
        "good": good,
    }
    return figures, good


def draw(result, path: Path) -> None:
    """Memory, handles and delays over the hour; a grey line for each disturbance."""
    figure, axes = plt.subplots(3, 1, figsize=(10, 9), sharex=True, layout="constrained")
    minutes = [when / 60 for when, _ in result["samples"]]
    for name in NODES:
        axes[0].plot(minutes, [one[name][0] for _, one in result["samples"]], label=name)
        axes[1].plot(minutes, [one[name][1] for _, one in result["samples"]], label=name)
    for name, colour in (("commands", "C0"), ("forecasts", "C1")):
        rows = np.array(result[name]).reshape(-1, 2)
        slots = (rows[:, 0] // 10).astype(int)
        for q, style in ((50, "-"), (99, ":")):
            line = [(s / 6, 1e3 * np.percentile(rows[slots == s, 1], q)) for s in np.unique(slots)]
            axes[2].plot(*zip(*line, strict=True), colour + style, label=f"{name}, {q} %")
    for axis, label in zip(axes, ("memory [MB]", "open handles", "delay [ms]"), strict=True):
        for start, _, _ in result["disturbances"]:
            axis.axvline(start / 60, color="0.85", linewidth=0.5, zorder=0)
        axis.set_ylabel(label)
        axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small")
    axes[0].set_ylim(bottom=0)
    axes[1].set_ylim(bottom=0)
    axes[2].set_yscale("log")
    axes[2].set_xlabel("time [min]")
    figure.savefig(path, dpi=110)


def main() -> int:
    """Run, judge, draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("runs/endurance"))
    arguments = parser.parse_args()
    if arguments.minutes <= WARM_UP / 60 + 1:
        parser.error(f"--minutes must exceed {WARM_UP / 60 + 1:g}: growth is counted from then on")
    arguments.output.mkdir(parents=True)
    result = run(arguments.minutes, arguments.seed, arguments.output.resolve())
    figures, good = summarise(result, gaps(arguments.output, result))
    (arguments.output / "endurance.json").write_text(json.dumps(figures, indent=2) + "\n")
    draw(result, arguments.output / "endurance.png")
    print(json.dumps(figures, indent=2))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
