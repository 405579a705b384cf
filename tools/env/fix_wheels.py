# SPDX-License-Identifier: Apache-2.0
"""Points the ROS wheels' CMake files to this interpreter.

They carry two absolute paths of the machine that built them: Python's and NumPy's headers.
"""

import re
import sys
import sysconfig
from pathlib import Path

import numpy

_PYTHON = r"/opt/python/cp3\d+-cp3\d+"
_PATHS = (
    (rf"{_PYTHON}/lib/python3\.\d+/site-packages/numpy/_core/include", numpy.get_include()),
    (rf"{_PYTHON}/include/python3\.\d+", sysconfig.get_paths()["include"]),
)


def main() -> None:
    """Rewrite share/**/*.cmake of the running interpreter's environment."""
    for file in Path(sys.prefix, "share").rglob("*.cmake"):
        before = text = file.read_text()
        for pattern, path in _PATHS:
            text = re.sub(pattern, lambda match, path=path: path, text)
        if text != before:
            file.write_text(text)


if __name__ == "__main__":
    main()
