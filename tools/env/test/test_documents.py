# SPDX-License-Identifier: Apache-2.0
"""Documents can be read in a terminal, and their links lead somewhere."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
WIDTH = 100
NOT_YET = {"docs/your_robot.md"}
"""Documents with wider lines."""


def documents():
    """Markdown files of the repository; those of build and environment folders are not."""
    kept = ("build", "install", "log", "runs")
    for file in sorted(ROOT.rglob("*.md")):
        parts = file.relative_to(ROOT).parts
        if not any(part.startswith(".") or part in kept for part in parts):
            yield file, "/".join(parts)


def prose(text):
    """Line numbers and lines that are neither code, table nor image."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced and not line.lstrip().startswith(("|", "![")) and line[:4] != "    ":
            yield number, line


def test_prose_is_no_wider_than_the_code():
    wide = [
        f"{place}:{number}"
        for file, place in documents()
        if place not in NOT_YET
        for number, line in prose(file.read_text())
        if len(line) > WIDTH
    ]
    assert wide == []


def test_links_between_documents_lead_to_files():
    broken = []
    for file, place in documents():
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", file.read_text()):
            if "://" not in target and not (file.parent / target).exists():
                broken.append(f"{place}: {target}")
    assert broken == []
