# SPDX-License-Identifier: Apache-2.0
"""Every source file says its licence in the first line."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
HEADER = "# SPDX-License-Identifier: Apache-2.0"
WORLD = ROOT / "src/salus_sim/salus_sim"
HASHED = {*WORLD.glob("experts/*.py"), *(WORLD / f"{n}.py" for n in ("scenario", "slip", "tasks"))}
"""Studies and trainings keep these files' hash (world_hashes): another byte, and none goes on."""


def test_source_files_begin_with_their_licence():
    missing = []
    for folder in (ROOT / "src", ROOT / "tools", ROOT / "benchmarks"):
        for file in sorted(folder.rglob("*.py")):
            place = file.relative_to(ROOT)
            if "build" in place.parts:
                continue
            lines = file.read_text().splitlines()
            if lines and lines[0].startswith("#!"):
                lines = lines[1:]
            if lines and lines[0] != HEADER and file not in HASHED:
                missing.append(str(place))
    assert missing == []
