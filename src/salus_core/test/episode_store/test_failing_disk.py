# SPDX-License-Identifier: Apache-2.0
"""A disk that fails at any single call of the C library, once or for good."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
HALF = 0
"""No error: a write takes half of the bytes."""


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    library = tmp_path_factory.mktemp("shim") / "failing_disk.so"
    flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-Wno-nonnull-compare"]
    subprocess.run([compiler, *flags, "-o", library, HERE / "failing_disk.c", "-ldl"], check=True)
    return library


KINDS = [(errno.ENOSPC, False), (errno.EIO, True), (HALF, False)]
ALL = [(error, every) for error in (errno.ENOSPC, errno.EIO, HALF) for every in (False, True)]


@pytest.mark.parametrize(
    ("error", "every", "stride"),
    [
        *(pytest.param(*kind, 113, id=f"some calls-{kind}") for kind in KINDS),
        *(pytest.param(*kind, 1, id=f"every call-{kind}", marks=pytest.mark.slow) for kind in ALL),
    ],
)
def test_no_committed_episode_is_lost_or_torn(shim, tmp_path, stride, error, every):
    done = subprocess.run(
        [
            sys.executable,
            HERE / "record_on_failing_disk.py",
            tmp_path,
            *map(str, (error, int(every), stride)),
        ],
        env={**os.environ, "LD_PRELOAD": str(shim)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.splitlines()[-1])
    print(result)
    assert result["calls"] > 100
    assert result["tried"] == -(-result["calls"] // stride)
    if error == HALF:
        assert (result["refused"], result["episodes"]) == (0, 2 * result["tried"])
    else:
        assert result["refused"] > 0.5 * result["tried"]
