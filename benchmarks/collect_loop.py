# SPDX-License-Identifier: Apache-2.0
"""What the running loop costs: `python benchmarks/collect_loop.py [collect's arguments]`.

Launches collect, and measures between its first and its last progress line, so neither the start
nor the end counts: CPU time per step of each node, from the system's own accounting, which other
programs on the machine hardly change.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time

NODES = ("world", "vla", "recorder", "supervisor", "predictor", "referee", "episode_runner")
PROGRESS = re.compile(r"episode (\d+)/(\d+) .*\((\d+) steps")
TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")


def cpu_by_node(launch: int) -> dict[str, float]:
    """CPU time so far of each node below the launch process [ms]."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8") as file:
                fields = file.read().rpartition(")")[2].split()
            with open(f"/proc/{entry}/cmdline", encoding="utf-8") as file:
                name = re.search(r"__node:=(\w+)", file.read())
        except OSError:
            continue
        if name and int(fields[1]) == launch:
            found[name[1]] = (int(fields[11]) + int(fields[12])) * TICK_MS
    return found


def measure(arguments: list[str]) -> int:
    """Run collect and print a table; returns its exit code."""
    with tempfile.TemporaryDirectory() as folder:
        given = ["episodes:=6", f"output:={folder}", *arguments]
        process = subprocess.Popen(
            ["ros2", "launch", "salus", "collect.launch.py", *given],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        start = end = None
        steps = 0
        try:
            for line in process.stdout:
                print(line, end="", flush=True)
                if not (match := PROGRESS.search(line)):
                    continue
                end = (time.monotonic(), cpu_by_node(process.pid))
                if start is None:
                    start = end
                else:
                    steps += int(match[3])
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
        code = process.wait()
    if not steps:
        print("nothing measured: at least two episodes must end", file=sys.stderr)
        return code or 1
    used = {name: (end[1][name] - start[1][name]) / steps for name in NODES if name in end[1]}
    print(f"\n{steps} steps, {steps / (end[0] - start[0]):.1f} steps/s with the pauses between")
    for name, value in used.items():
        print(f"{name:<16}{value:6.1f} ms CPU a step")
    print(f"{'all':<16}{sum(used.values()):6.1f} ms CPU a step")
    return code


if __name__ == "__main__":
    sys.exit(measure(sys.argv[1:]))
