# SPDX-License-Identifier: Apache-2.0
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

# Stands in for colcon in a checkout whose requirements are empty: counts builds, takes a second.
COLCON = """
import pathlib, time
pathlib.Path("install").mkdir(exist_ok=True)
pathlib.Path("install/local_setup.bash").write_text("export SOURCED=yes\\n")
time.sleep(1.0)
with open("log/builds.txt", "a") as file:
    file.write("built\\n")
"""


class Checkout:
    """A copy of the entry script with requirements that install nothing."""

    def __init__(self, folder):
        self.root = folder / "a check out"  # a space, since people have them
        (self.root / "tools/ros2/bin").mkdir(parents=True)
        shutil.copytree(ROOT / "tools/env", self.root / "tools/env")
        for name in ("salus.sh", "colcon.meta"):
            shutil.copy2(ROOT / name, self.root / name)
        for name in ("requirements", "requirements-ros", "constraints"):
            (self.root / f"tools/env/{name}.txt").write_text("# nothing\n")
        (self.root / "tools/env/fix_wheels.py").write_text(
            "import sysconfig\n"
            f"open(sysconfig.get_paths()['purelib'] + '/colcon.py', 'w').write({COLCON!r})\n"
            "open('log/preparations.txt', 'a').write('prepared\\n')\n"
        )
        (self.root / "src/one").mkdir(parents=True)
        (self.root / "src/one/package.xml").write_text("<package/>")
        (self.root / "src/one/code.py").write_text("A = 1\n")
        ros2 = self.root / "tools/ros2/bin/ros2"
        ros2.write_text('#!/bin/sh\nprintf "<%s>\\n" "$@"\nenv\n')
        ros2.chmod(0o755)
        self.folder = folder
        self.bin = folder / "bin"
        self._make_path()

    def _make_path(self):
        """Fill a folder for PATH with the machine's commands, but no interpreter of its own."""
        self.bin.mkdir()
        for command in [*Path("/usr/bin").iterdir(), *Path("/bin").iterdir()]:
            link = self.bin / command.name
            if not command.name.startswith("python") and not link.exists():
                link.symlink_to(command)
        interpreter = self.bin / "python3"
        interpreter.write_text(
            "#!/bin/bash\n"
            f'real="{Path(sys._base_executable).resolve()}"\n'
            'if [[ "${1:-}" == */probe.py ]]; then "$real" "$@" | sed -E "$PROBE"; '
            'elif [[ "$*" == *numpy.__version__* ]]; then echo 1.26.4; '
            'else exec "$real" "$@"; fi\n'
        )
        interpreter.chmod(0o755)

    def remove(self, *commands):
        for command in commands:
            (self.bin / command).unlink(missing_ok=True)

    def environment(self, **changes):
        return {
            "PATH": str(self.bin),
            "HOME": str(self.folder),
            "SALUS_APT": "no",
            "PIP_NO_INDEX": "1",
            # A complete machine, whatever this one is; a test takes something away.
            "PROBE": "s/=no$/=yes/",
            **changes,
        }

    def start(self, *arguments, cwd=None, **changes):
        return subprocess.Popen(
            [self.root / "salus.sh", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=cwd or self.root,
            env=self.environment(**changes),
        )

    def salus(self, *arguments, **changes):
        process = self.start(*arguments, **changes)
        output, _ = process.communicate(timeout=120.0)
        return process.returncode, output

    def count(self, what):
        file = self.root / f"log/{what}.txt"
        return len(file.read_text().splitlines()) if file.exists() else 0


@pytest.fixture
def colcon():
    return COLCON


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A checkout in which `./salus.sh setup` has been run once."""
    checkout = Checkout(tmp_path_factory.mktemp("prepared"))
    code, output = checkout.salus("setup")
    assert code == 0, output
    return checkout
