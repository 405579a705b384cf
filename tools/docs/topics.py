# SPDX-License-Identifier: Apache-2.0
"""The table of topics in docs/architecture.md, which a test compares with the live graph."""

import re
from dataclasses import dataclass
from pathlib import Path

ARCHITECTURE = Path(__file__).resolve().parents[2] / "docs/architecture.md"
CELL = r"\|\s*([^|]*?)\s*"


@dataclass(frozen=True)
class Topic:
    """A row; names in braces are rows of their own.

    Attributes:
        name: below the namespace, or with a slash.
        kind: package/Type.
        publishers: nodes.
        subscribers: nodes.
        quality: of service, in words.
    """

    name: str
    kind: str
    publishers: frozenset[str]
    subscribers: frozenset[str]
    quality: str


def topics() -> list[Topic]:
    """All rows."""
    found = []
    rows = re.findall(
        rf"^\| `([\w/{{}},]+)` {4 * CELL}\|$", ARCHITECTURE.read_text(encoding="utf-8"), re.M
    )
    for name, kind, publishers, subscribers, quality in rows:
        braces = re.search(r"\{(.*)\}", name)
        for inner in braces[1].split(",") if braces else [""]:
            found.append(
                Topic(
                    re.sub(r"\{.*\}", inner, name),
                    kind,
                    frozenset(re.findall(r"\w+", publishers)),
                    frozenset(re.findall(r"\w+", subscribers)),
                    quality,
                )
            )
    return found
