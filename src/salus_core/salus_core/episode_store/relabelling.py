# SPDX-License-Identifier: Apache-2.0
"""labels.jsonl beside a run's arrays: outcomes that somebody gave afterwards, with who and when."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from salus_core.episode_store.checksums import READ_ERRORS, DamagedRunError
from salus_core.episode_store.episodes import SchemaError
from salus_core.episode_store.run_folder import now_text
from salus_core.failures import Outcome, Taxonomy
from salus_core.paths import PathError, read_bounded

LABELS = "labels.jsonl"
MAX_BYTES = 16 * 2**20
"""Of labels.jsonl: a hundred thousand labels."""
MAX_TEXT = 1000
"""Characters of a note, or of a name."""
OUTCOMES = ("succeeded", "failed", "aborted")


@dataclass(frozen=True)
class EpisodeLabel:
    """A label of one episode; the last one of an episode counts.

    Attributes:
        episode: its index in the run.
        outcome: of OUTCOMES, in lower case; "": as it was recorded, which takes labels back.
        failure: name of the type in the run's taxonomy; "" unless it failed.
        onset_step: step of the failure's onset, at most the episode's length; -1 unless it failed.
            Whoever does not know it gives the length: the failure is seen at the end.
        note: text.
        who: gave it.
        when: UTC, ISO 8601.
    """

    episode: int
    outcome: str
    failure: str = ""
    onset_step: int = -1
    note: str = ""
    who: str = ""
    when: str = ""

    def check(self, lengths: Mapping[int, int], taxonomy: Taxonomy) -> None:
        """Compare it with its run.

        Args:
            lengths: steps by the index of the episode.
            taxonomy: of the run.

        Raises:
            SchemaError: it contradicts itself or the run; names the field.
        """
        if self.episode not in lengths:
            raise SchemaError(f"there is no episode {self.episode}: the run has {len(lengths)}")
        if self.outcome not in ("", *OUTCOMES):
            raise SchemaError(f"outcome '{self.outcome}' is none of {', '.join(OUTCOMES)}")
        failed, length = self.outcome == "failed", lengths[self.episode]
        if failed and self.failure not in taxonomy.names:
            raise SchemaError(
                f"failure type '{self.failure}' is not known: use {', '.join(taxonomy.names)}, or "
                "record with a file of failure_types that names it"
            )
        if failed and not 0 <= self.onset_step <= length:
            raise SchemaError(
                f"onset step {self.onset_step} lies outside the episode's 0 to {length}"
            )
        if not failed and (self.failure or self.onset_step != -1):
            raise SchemaError(f"outcome '{self.outcome}' has neither failure type nor onset")
        if max(len(self.note), len(self.who)) > MAX_TEXT:
            raise SchemaError(f"a note or name has more than {MAX_TEXT} characters")


def read_labels(
    run: Path, lengths: Mapping[int, int], taxonomy: Taxonomy
) -> dict[int, list[EpisodeLabel]]:
    """All labels of a run by episode, the last one last; empty: it has none.

    Raises:
        DamagedRunError: a line is no label of the run; names file and line.
    """
    path = run / LABELS
    if not os.path.lexists(path):
        return {}
    try:
        lines = read_bounded(path, MAX_BYTES).decode().splitlines()
    except (PathError, UnicodeDecodeError) as error:
        raise DamagedRunError(f"{path}: {error}") from error
    found: dict[int, list[EpisodeLabel]] = {}
    for number, line in enumerate(lines, 1):
        try:
            label = EpisodeLabel(**_typed(json.loads(line)))
            label.check(lengths, taxonomy)
        except READ_ERRORS as error:
            raise DamagedRunError(
                f"{path}, line {number}, is no label: {str(error)[:300]}; take the line out"
            ) from error
        found.setdefault(label.episode, []).append(label)
    return found


def add_label(
    run: Path, label: EpisodeLabel, lengths: Mapping[int, int], taxonomy: Taxonomy
) -> EpisodeLabel:
    """Append a label; what was recorded and earlier labels stay.

    Args:
        run: its folder.
        label: `when` is filled in.
        lengths: steps by the index of the episode.
        taxonomy: of the run.

    Returns:
        The label as it was written.

    Raises:
        SchemaError: it does not fit.
        OSError: the file cannot be written.
    """
    label.check(lengths, taxonomy)
    label = EpisodeLabel(**{**asdict(label), "when": label.when or now_text()})
    line = json.dumps(asdict(label), ensure_ascii=False) + "\n"
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(run / LABELS, flags, 0o666)
    try:
        # One call: labels of two people never mix within a line.
        os.write(descriptor, line.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return label


def labelled(label: EpisodeLabel, taxonomy: Taxonomy) -> dict[str, Any]:
    """Fields of an Episode that a label replaces; empty: none."""
    if not label.outcome:
        return {}
    return {
        "outcome": Outcome[label.outcome.upper()],
        "failure": taxonomy.code(label.failure) if label.failure else 0,
        "onset_step": label.onset_step,
    }


def _typed(content: Any) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise TypeError("it holds no mapping")
    for name, value in content.items():
        kind = int if name in ("episode", "onset_step") else str
        if type(value) is not kind:
            raise TypeError(f"'{name}' must be {'a number' if kind is int else 'text'}")
    return content
