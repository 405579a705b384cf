# SPDX-License-Identifier: Apache-2.0
"""Draws docs/architecture.png, the way of the data: `python tools/docs/architecture_figure.py`."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

OUTPUT = Path(__file__).resolve().parents[2] / "docs/architecture.png"

DRIVES, WATCHES, KEEPS = "#dbe9f6", "#fde8d0", "#e4f0dc"
LINE, QUIET = "#33475b", "#8a97a5"

# name: centre, colour, title, what it does
NODES = {
    "world": (
        (1.5, 5.0),
        DRIVES,
        "world",
        "MuJoCo scene, or your robot;\nadvances on each command",
    ),
    "vla": ((5.5, 6.6), DRIVES, "vla", "policy ensemble:\naction, 12 signals, latent"),
    "predictor": ((10.0, 6.6), WATCHES, "predictor", "failure types x\nhorizons, alarm"),
    "supervisor": ((7.75, 4.4), DRIVES, "supervisor", "passes on, or holds;\none command per step"),
    "referee": (
        (1.5, 1.9),
        WATCHES,
        "referee",
        "outcome and onset of failures,\nfrom ground truth alone",
    ),
    "recorder": ((10.0, 1.9), KEEPS, "recorder", "matches by step,\nwrites Zarr episodes"),
    "runner": ((5.5, 1.9), KEEPS, "episode_runner", "resets, waits for the commit,\nsums up"),
}
WIDTH, HEIGHT = 2.5, 1.0

# from, to, label, where the label is, quiet
ARROWS = [
    ("world", "vla", "camera/*/image_raw,\njoint_states, tool_pose, step", (2.4, 6.35), False),
    ("vla", "predictor", "vla_signals", (7.75, 6.75), False),
    ("vla", "supervisor", "vla_signals", (5.9, 5.42), False),
    ("predictor", "supervisor", "failure_forecast", (9.9, 5.42), False),
    ("supervisor", "world", "command", (4.7, 4.9), False),
    ("world", "referee", "world_state,\nepisode_setup", (0.35, 3.4), False),
    ("referee", "world", "episode", (2.3, 3.1), True),
    ("runner", "world", "reset_episode", (4.5, 3.35), True),
    ("supervisor", "recorder", "", (0, 0), True),
    ("recorder", "runner", "recorder_status", (7.75, 2.05), True),
]


def main() -> None:
    """Draw and save."""
    figure, axes = plt.subplots(figsize=(12, 7.0), dpi=110)
    axes.set(xlim=(-0.4, 11.4), ylim=(0.6, 7.5))
    axes.axis("off")
    patches = {}
    for key, ((x, y), colour, title, text) in NODES.items():
        patches[key] = FancyBboxPatch(
            (x - WIDTH / 2, y - HEIGHT / 2),
            WIDTH,
            HEIGHT,
            boxstyle="round,pad=0.02,rounding_size=0.12",
            facecolor=colour,
            edgecolor=LINE,
            linewidth=1.4,
        )
        axes.add_patch(patches[key])
        axes.text(x, y + 0.27, title, ha="center", va="center", weight="bold", size=12)
        axes.text(x, y - 0.17, text, ha="center", va="center", size=9, color=LINE)
    for start, end, label, position, quiet in ARROWS:
        offset = {("world", "referee"): -0.35, ("referee", "world"): 0.35}.get((start, end), 0.0)
        a, b = NODES[start][0], NODES[end][0]
        axes.add_patch(
            FancyArrowPatch(
                (a[0] + offset, a[1]),
                (b[0] + offset, b[1]),
                patchA=patches[start],
                patchB=patches[end],
                arrowstyle="-|>",
                mutation_scale=16,
                linewidth=1.2 if quiet else 2.0,
                linestyle="--" if quiet else "-",
                color=QUIET if quiet else LINE,
                shrinkA=2,
                shrinkB=2,
            )
        )
        if label:
            axes.text(*position, label, ha="center", va="center", size=9, family="monospace")
    axes.text(9.2, 3.2, "everything,\nmatched by step", size=9, ha="left", color=LINE)
    axes.text(
        5.5,
        0.8,
        "Every message repeats episode, step and stamp of the observation it came from. "
        "Dashed: once per episode, or bookkeeping.",
        ha="center",
        size=9,
        color=LINE,
    )
    figure.savefig(OUTPUT, bbox_inches="tight")
    print(OUTPUT)


if __name__ == "__main__":
    main()
