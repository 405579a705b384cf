"""Prints what a run holds, and draws an episode: needs no ROS graph."""

import argparse
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from salus_core.episode_store import Episode, NotARunError, Run, open_run

COLUMNS = (
    ("#", "index of the episode in the run"),
    ("number", "the world's count of resets"),
    ("outcome", "how it ended"),
    ("onset", "step of the failure's onset"),
    ("steps", "recorded steps"),
    ("gaps", "steps that lack a required message"),
    ("interv.", "whether the supervisor changed an action"),
    ("alarms", "steps with an alarm"),
    ("seed", "of the episode"),
    ("faults", "kind, size, and first step of each injected fault"),
    ("instruction", "given to the policy"),
)


def episode_cells(episode: Episode, alarm: np.ndarray) -> list[str]:
    """One row of the table.

    Args:
        episode: of the run.
        alarm: (steps,) bool, of the whole run.
    """
    failed = episode.onset_step >= 0
    outcome = episode.outcome.name.lower()
    faults = [
        f"{fault.kind} {fault.magnitude:g} {fault.unit}".removesuffix(" 1")
        + f" @{fault.onset_step}"
        for fault in episode.faults
    ]
    return [
        str(episode.index),
        str(episode.number),
        episode.failure.name.lower() if failed else outcome,
        str(episode.onset_step) if failed else "-",
        str(episode.length),
        str(episode.gaps),
        "yes" if episode.intervened else "no",
        str(int(alarm[episode.start : episode.stop].sum())),
        str(episode.seed),
        ", ".join(faults) or "-",
        episode.instruction,
    ]


def format_run(run: Run) -> str:
    """A heading and a table of the run's episodes."""
    attributes = run.attributes
    alarm = run.column("alarm")
    rows = [episode_cells(episode, alarm) for episode in run]
    outcomes = Counter(row[2] for row in rows)
    policy = attributes["policy"] or "none"
    lines = [
        str(run.path),
        f"{len(run)} episodes, {run.steps} steps at {attributes['rate']:g} Hz, "
        f"{run.metadata['state']}; "
        + (", ".join(f"{count} {name}" for name, count in outcomes.most_common()) or "empty"),
        f"policy {policy} ({attributes['members']} {attributes['member_kind'] or 'members'}), "
        f"cameras {', '.join(run.cameras) or 'none'}, "
        f"objects {', '.join(attributes['object_names']) or 'none'}",
        "",
    ]
    rows.insert(0, [name for name, _ in COLUMNS])
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    for row in rows:
        cells = [
            cell.rjust(width) if cell[:1].isdigit() else cell.ljust(width)
            for cell, width in zip(row, widths, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="inspect",
        description="Print the episodes of a recorded run, and draw one of them.",
        epilog="Columns: " + "; ".join(f"{name}: {meaning}" for name, meaning in COLUMNS) + ".",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of the run")
    parser.add_argument(
        "--episode",
        type=int,
        metavar="I",
        help="draw this episode: its index (#) in the table; negative ones count from the end",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="PNG",
        help="picture to write; default: episode_I.png in the present folder",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    options = parse(arguments)
    try:
        run = open_run(options.run)
    except NotARunError as error:
        print(f"inspect: {error}", file=sys.stderr)
        return 1
    print(format_run(run))
    if options.episode is None and options.output is None:
        return 0
    try:
        episode = run[options.episode or 0]
    except IndexError:
        print(
            f"inspect: {run.path} has {len(run)} episodes, there is none at {options.episode or 0}",
            file=sys.stderr,
        )
        return 1
    # Only whoever draws pays for loading matplotlib.
    from salus_recorder.figure import draw_episode

    output = options.output or Path(f"episode_{episode.index}.png")
    try:
        draw_episode(episode).savefig(output)
    except (OSError, ValueError) as error:
        print(f"inspect: cannot write {output}: {error}", file=sys.stderr)
        return 1
    print(f"\n{output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
