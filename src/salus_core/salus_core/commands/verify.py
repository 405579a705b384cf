# SPDX-License-Identifier: Apache-2.0
"""`salus verify`: finds damage in runs: flipped bits, missing, cut and foreign files."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from salus_core.commands.boundary import command
from salus_core.episode_store import Verification, verify_run
from salus_core.episode_store.dataset import find_runs

DESCRIPTION = """\
Compares every file of each run with the checksum that was noted when the run ended, and names what
is damaged or missing, with the rows and episodes that are concerned. Reads everything once."""


def _as_json(found: Verification) -> dict[str, Any]:
    damage = [
        {**asdict(one), "rows": [[rows.start, rows.stop - 1] for rows in one.rows]}
        for one in found.damage
    ]
    return {
        "run": str(found.path),
        "files": found.files,
        "damage": damage,
        "notes": found.notes,
    }


@command("verify")
def main(argv: list[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: arguments; None: those of the process.

    Returns:
        0: nothing is damaged; 1: something is, or a path holds no run.
    """
    parser = argparse.ArgumentParser(
        prog="salus verify",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("paths", nargs="+", help="runs, folders of runs, or patterns of either")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args(argv)
    runs: list[Path] = [run for path in arguments.paths for run in find_runs(path)]
    results = []
    with tqdm(desc="files", unit=" files", disable=None, file=sys.stderr) as bar:
        for run in runs:
            done = 0

            def progress(files: int) -> None:
                nonlocal done
                bar.update(files - done)
                done = files

            results.append(verify_run(run, progress))
    damaged = [found for found in results if found.damage]
    if arguments.json:
        print(json.dumps([_as_json(found) for found in results], indent=2))
        return bool(damaged)
    for found in results:
        state = f"{len(found.damage)} damaged" if found.damage else "whole"
        print(f"{found.path}: {found.files} files, {state}")
        for line in (*map(str, found.damage), *(f"note: {note}" for note in found.notes)):
            print(f"  {line}")
    if damaged:
        print(
            "restore what is damaged from a copy; the other episodes of a damaged run can be read "
            "with open_run(path, check=False)"
        )
    return bool(damaged)


if __name__ == "__main__":
    raise SystemExit(main())
