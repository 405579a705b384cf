# SPDX-License-Identifier: Apache-2.0
"""Prints what runs hold, draws an episode, reports on signals: needs no ROS graph."""

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from salus_core.commands.boundary import OutputError, command, require_file
from salus_core.data import DataError, read_steps
from salus_core.episode_store import Episode, NotARunError, Run, open_dataset
from salus_core.failures import HORIZONS_S

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
        episode.failure_name if failed else outcome,
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
        description="Print the episodes of recorded runs, draw one of them, or report on the "
        "signals of all of them together.",
        epilog="Columns: " + "; ".join(f"{name}: {meaning}" for name, meaning in COLUMNS) + ".",
    )
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="runs, folders of runs, or patterns of either"
    )
    parser.add_argument(
        "--episode",
        type=int,
        metavar="I",
        help="draw this episode: its index (#) in the table; negative ones count from the end",
    )
    parser.add_argument(
        "--signals",
        action="store_true",
        help="instead of the episodes: distribution, validity and correlation of the signals, and "
        "the AUROC of each for each failure type",
    )
    parser.add_argument(
        "--horizons",
        nargs="+",
        type=float,
        default=HORIZONS_S,
        metavar="S",
        help="of --signals: before a failure are the steps within the longest of these; default: "
        + " ".join(f"{seconds:g}" for seconds in HORIZONS_S),
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="PNG",
        help="picture to write; default: episode_I.png or signals.png in the present folder",
    )
    return parser.parse_args(arguments)


@command("inspect")
def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    options = parse(arguments)
    return report_signals(options) if options.signals else show_episodes(options)


def report_signals(options: argparse.Namespace) -> int:
    """Print and draw the report on the signals; returns the exit code.

    Raises:
        NotARunError: a path holds no run.
        DataError: the runs hold no episode, or not the twelve signals.
    """
    # Only whoever draws pays for loading matplotlib and scipy.
    from salus_core.inspection.signal_figure import draw_signals
    from salus_core.inspection.signal_report import format_report, signal_report

    if options.episode is not None:
        raise DataError("--episode and --signals exclude each other")
    output = options.output or Path("signals.png")
    _require_picture(output)
    try:
        data = read_steps(options.runs, embedding=False, horizons=options.horizons)
    except ValueError as error:  # the runs' signals are not comparable
        raise DataError(str(error)) from error
    report = signal_report(data)
    print(format_report(report))
    return save(draw_signals(report), output)


def show_episodes(options: argparse.Namespace) -> int:
    """Print the episodes, draw the chosen one; returns the exit code.

    Raises:
        NotARunError: a path holds no run.
    """
    runs = open_dataset(options.runs, same_schema=False).runs
    print("\n\n".join(format_run(run) for run in runs))
    if options.episode is None and options.output is None:
        return 0
    if len(runs) > 1:
        raise NotARunError(f"an episode can be drawn of one run only, these are {len(runs)}")
    (run,) = runs
    index = options.episode or 0
    if not -len(run) <= index < len(run):
        raise DataError(f"{run.path} has {len(run)} episodes, there is none at {index}")
    episode = run[index]
    from salus_core.inspection.figure import draw_episode

    output = options.output or Path(f"episode_{episode.index}.png")
    _require_picture(output)
    try:
        figure = draw_episode(episode)
    except ValueError as error:
        raise DataError(f"{run.path} cannot be drawn: {error}") from error
    return save(figure, output)


def _require_picture(output: Path) -> None:
    """Try whether a picture can be written.

    Raises:
        OutputError: it cannot, or nothing is known of its kind.
    """
    from matplotlib.backend_bases import FigureCanvasBase

    known = FigureCanvasBase.get_supported_filetypes()
    if output.suffix[1:].lower() not in known:
        raise OutputError(f"--output {output}: end its name with one of {', '.join(known)}")
    require_file(output)


def save(figure: "Figure", output: Path) -> int:
    """Write a picture and say where; returns the exit code."""
    figure.savefig(output)
    print(f"\n{output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
