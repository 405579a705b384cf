# SPDX-License-Identifier: Apache-2.0
"""Fuzz what reads bytes from outside, with atheris.

    python tools/fuzz/fuzz.py TARGET|all [--seconds 300] [--seed 1]

Needs `pip install atheris`. Each target of targets.py runs in a process of its own, with the
coverage of the program as its guide. What ends it is kept as tools/fuzz/corpus/TARGET/NAME, to be
committed with the fix: the tests read it from then on. Exit code 1 if anything was found: an error
that the reader does not declare, more than 10 s for an input, or more than 2 GB of memory.
"""

import argparse
import random
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parents[1] / "src"
CORPUS = HERE / "corpus"
SHARED = ("salus_core/test/shared", "salus_policies/test")
PACKAGES = ["salus_core", "salus_policies", "rosbags"]
SLOWEST = 10
"""Time for one input [s]."""
MOST_MEMORY = 2048
"""[MB]"""


def fuzz_one(name: str, seconds: int, seed: int) -> None:
    """Fuzz a target in this process; libFuzzer ends the process."""
    import atheris

    sys.path[:0] = [str(HERE), *(str(SOURCE / folder) for folder in SHARED)]
    with atheris.instrument_imports(include=PACKAGES):
        import targets
    import mutations

    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
    target = targets.make(name, folder / "work")
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, content in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(content)
    kept = CORPUS / name
    kept.mkdir(parents=True, exist_ok=True)
    arguments = [
        sys.argv[0],
        str(corpus),
        str(kept),
        f"-max_total_time={seconds}",
        f"-seed={seed}",
        f"-timeout={SLOWEST}",
        f"-rss_limit_mb={MOST_MEMORY}",
        f"-artifact_prefix={kept}/",
        f"-max_len={2 * max(map(len, target.seeds))}",
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    given = {}
    if target.document:
        given["custom_mutator"] = mutations.of_documents(target.prefix)
    atheris.Setup(arguments, target.one, **given)
    atheris.Fuzz()


def main() -> int:
    """Fuzz one target, or all in turn."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("target")
    parser.add_argument("--seconds", type=int, default=300, help="per target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here:
        random.seed(arguments.seed)
        fuzz_one(arguments.target, arguments.seconds, arguments.seed)
    sys.path[:0] = [str(HERE), *(str(SOURCE / folder) for folder in SHARED)]
    from targets import TARGETS

    if arguments.target != "all" and arguments.target not in TARGETS:
        parser.error(f"no target {arguments.target}: use all, {', '.join(TARGETS)}")
    names = list(TARGETS) if arguments.target == "all" else [arguments.target]
    found = []
    for name in names:
        print(f"--- {name}", flush=True)
        options = ["--seconds", str(arguments.seconds), "--seed", str(arguments.seed), "--here"]
        if subprocess.run([sys.executable, __file__, name, *options]).returncode != 0:
            found.append(name)
    print(f"{len(names)} targets; something was found in: {', '.join(found) or 'none'}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
