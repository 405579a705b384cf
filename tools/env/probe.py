# SPDX-License-Identifier: Apache-2.0
"""Says what an interpreter and its machine offer, as lines of `key=value` for ./salus.sh."""

import ctypes
import glob
import importlib.util
import os
import sys
import sysconfig


def loads(library: str) -> bool:
    """Return whether the dynamic linker finds a library."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def renders() -> bool:
    """Return whether libEGL has something to draw with: Mesa's software renderer or a vendor's."""
    mesa = (
        "/usr/lib/*/dri/swrast_dri.so",
        "/usr/lib/*/libgallium-*.so",
        "/usr/lib64/dri/swrast_dri.so",
    )
    vendors = [
        path
        for folder in ("/usr/share/glvnd/egl_vendor.d", "/etc/glvnd/egl_vendor.d")
        for path in glob.glob(f"{folder}/*.json")
        if "mesa" not in os.path.basename(path)
    ]
    return bool(vendors) or any(glob.glob(pattern) for pattern in mesa)


def main() -> None:
    """Print the lines."""
    header = os.path.join(sysconfig.get_paths()["include"], "Python.h")
    answers = {
        "version": "{}.{}".format(*sys.version_info),
        "wheels": (3, 11) <= sys.version_info[:2] <= (3, 13),
        "recent": sys.version_info >= (3, 11),
        "venv": all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")),
        "header": os.path.isfile(header),
        "rclpy": importlib.util.find_spec("rclpy") is not None,
        "egl": loads("libEGL.so.1"),
        "opengl": loads("libOpenGL.so.0") or loads("libGL.so.1"),
        "renderer": renders(),
        # Debian's own interpreter: only for it can Debian give headers and venv.
        "debian": os.path.realpath(sys.executable).startswith("/usr/bin/"),
    }
    for key, value in answers.items():
        print(f"{key}={value if isinstance(value, str) else 'yes' if value else 'no'}")


if __name__ == "__main__":
    main()
