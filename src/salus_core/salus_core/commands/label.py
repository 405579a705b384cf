# SPDX-License-Identifier: Apache-2.0
"""`salus label`: gives recorded episodes another outcome, one by one or step by step."""

from __future__ import annotations

import argparse
import getpass
import sys
from pathlib import Path

from salus_core.commands.boundary import command
from salus_core.episode_store import (
    Episode,
    EpisodeLabel,
    Run,
    SchemaError,
    add_label,
    open_run,
)

DESCRIPTION = """\
Without more, lists the episodes of a run with their outcomes. With --episode and --outcome, labels
one. With --interactive, goes through the episodes and asks; with --pictures it draws each first.

Labels go to labels.jsonl in the run's folder; what was recorded stays, and the last label of an
episode counts. Everything that reads runs (train, evaluate, inspect, ...) follows them."""

HELP = """\
  s                  success
  f TYPE [STEP]      failure of a type, with its onset; without STEP: seen at the end
  f TYPE -SECONDS    the same, so long before the end
  a                  aborted: neither success nor failure is known
  n TEXT             note to the label that is there
  u                  undo: as it was recorded
  Enter              next episode
  q                  quit"""


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="salus label",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run")
    parser.add_argument("--episode", type=int, metavar="I", help="index (#) of an episode")
    parser.add_argument(
        "--outcome",
        choices=("succeeded", "failed", "aborted", "recorded"),
        help="recorded: take labels back",
    )
    parser.add_argument("--failure", default="", metavar="TYPE", help="with --outcome failed")
    onset = parser.add_mutually_exclusive_group()
    onset.add_argument("--onset", type=int, metavar="STEP", help="step at which it began")
    onset.add_argument(
        "--before-end", type=float, metavar="S", help="it began so long before the end [s]"
    )
    parser.add_argument("--note", default="", metavar="TEXT")
    parser.add_argument("--who", default="", metavar="NAME", help="default: the user's name")
    parser.add_argument("--interactive", action="store_true", help="go through the episodes")
    parser.add_argument(
        "--pictures",
        type=Path,
        metavar="FOLDER",
        help="of --interactive: where pictures go; default: none are drawn",
    )
    found = parser.parse_args(arguments)
    if (found.episode is None) != (found.outcome is None) and not found.interactive:
        parser.error("--episode and --outcome belong together")
    return found


@command("label")
def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    options = parse(arguments)
    run = open_run(options.run)
    if options.interactive:
        return ask(run, options)
    if options.outcome is None:
        print("\n".join(line(episode) for episode in run))
        return 0
    if not -len(run) <= options.episode < len(run):
        raise SchemaError(f"{run.path} has {len(run)} episodes, there is none at {options.episode}")
    episode = run[options.episode]
    onset = options.onset
    if options.before_end is not None:
        onset = before_end(episode, options.before_end)
    give(
        run,
        episode,
        "" if options.outcome == "recorded" else options.outcome,
        options.failure,
        onset,
        options.note,
        options.who,
    )
    print(line(open_run(options.run)[episode.index]))
    return 0


def line(episode: Episode) -> str:
    """An episode and its outcome; a star: somebody labelled it."""
    labels = episode.run.outcome_labels.get(episode.index)
    what = episode.outcome.name.lower()
    if episode.failure:
        what = f"{episode.failure_name} at step {episode.onset_step}"
    text = f"{episode.index:4} {'*' if labels else ' '} {what:32} {episode.length:5} steps"
    if labels:
        last = labels[-1]
        text += f"  {last.who}, {last.when}{': ' + last.note if last.note else ''}"
    return text


def before_end(episode: Episode, seconds: float) -> int:
    """The step so long before an episode's end; 0 where it is shorter."""
    return max(0, episode.length - round(seconds / episode.run.control_period))


def give(
    run: Run,
    episode: Episode,
    outcome: str,
    failure: str = "",
    onset: int | None = None,
    note: str = "",
    who: str = "",
) -> EpisodeLabel:
    """Label an episode.

    Args:
        run: that holds it.
        episode: to be labelled.
        outcome: see EpisodeLabel.
        failure: type, if it failed.
        onset: step; None: the episode's length, where it failed.
        note: text.
        who: empty: the user's name.

    Raises:
        SchemaError: the label does not fit.
        OSError: it cannot be written.
    """
    if outcome == "failed" and onset is None:
        onset = episode.length
    label = EpisodeLabel(
        episode=episode.index,
        outcome=outcome,
        failure=failure,
        onset_step=-1 if onset is None else onset,
        note=note,
        who=who or user(),
    )
    return add_label(run.path, label, run.lengths, run.taxonomy)


def user() -> str:
    """The user's name; empty where nobody knows it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""


def ask(run: Run, options: argparse.Namespace) -> int:
    """Go through the episodes; returns the exit code."""
    print(f"failure types: {', '.join(run.taxonomy.names)}\n{HELP}")
    if options.pictures is not None:
        options.pictures.mkdir(parents=True, exist_ok=True)
    index = options.episode or 0
    while 0 <= index < len(run):
        episode = run[index]
        print(line(episode))
        if options.pictures is not None:
            draw(episode, options.pictures)
        while True:
            print("label> ", end="", flush=True)
            text = sys.stdin.readline()
            if not text or text.strip() == "q":
                return 0
            if not text.strip():
                break
            try:
                answer(run, episode, text.split(), options.who)
            except SchemaError as error:
                print(f"{error}\n{HELP}")
                continue
            run = open_run(options.run)
            episode = run[index]
            print(line(episode))
        index += 1
    return 0


def answer(run: Run, episode: Episode, words: list[str], who: str) -> None:
    """Do what somebody has typed.

    Raises:
        SchemaError: it is not understood, or does not fit.
    """
    last = run.outcome_labels.get(episode.index, [EpisodeLabel(episode.index, "")])[-1]
    match words:
        case ["s"]:
            give(run, episode, "succeeded", who=who)
        case ["a"]:
            give(run, episode, "aborted", who=who)
        case ["u"]:
            give(run, episode, "", who=who)
        case ["f", failure]:
            give(run, episode, "failed", failure, who=who)
        case ["f", failure, place]:
            try:
                number = float(place)
                onset = before_end(episode, -number) if place.startswith("-") else int(place)
            except (ValueError, OverflowError) as error:
                raise SchemaError(f"'{place}' is neither a step nor seconds") from error
            give(run, episode, "failed", failure, onset, who=who)
        case ["n", *note]:
            began = last.onset_step if last.outcome == "failed" else None
            give(run, episode, last.outcome, last.failure, began, " ".join(note), who)
        case _:
            raise SchemaError(f"'{' '.join(words)}' is not understood")


def draw(episode: Episode, folder: Path) -> None:
    """Write a picture of an episode and say where; without images there may be none."""
    from salus_core.inspection.figure import draw_episode  # loads matplotlib

    path = folder / f"episode_{episode.index}.png"
    try:
        draw_episode(episode).savefig(path)
    except ValueError as error:
        print(f"no picture: {error}")
    else:
        print(path)


if __name__ == "__main__":
    sys.exit(main())
