# SPDX-License-Identifier: Apache-2.0
"""Backends by name; a backend's libraries are imported only when it is the one in use."""

import importlib

from salus_policies.backends.base import BackendError, PolicyBackend

BACKENDS: dict[str, str] = {
    "embedded": "salus_policies.backends.embedded.backend:EmbeddedBackend",
    "openvla": "salus_policies.backends.openvla.backend:OpenVlaBackend",
    "remote": "salus_policies.backends.remote.backend:RemoteBackend",
    "smolvla": "salus_policies.backends.smolvla.backend:SmolVlaBackend",
}
"""Import path, "module:class", by name."""

ELSEWHERE: dict[str, str] = {
    "tinyvla": "TinyVLA is published as a repository, not as a package: write a backend of a few "
    "lines over its code and serve it from its own environment, as backends/tinyvla/README.md "
    "describes",
    "pi0": "LeRobot's pi0 needs a patched transformers (lerobot 0.4) or Python 3.12 (lerobot 0.5): "
    "serve it from its own environment, as backends/pi0/README.md describes",
}
ELSEWHERE["pi05"] = ELSEWHERE["pi0"]
"""Policies that people ask for and that have no backend here, with what to do."""


def backend_class(name: str) -> type[PolicyBackend]:
    """Imports a backend.

    Args:
        name: One of BACKENDS, or the import path "module:class" of one's own PolicyBackend.

    Returns:
        The class.

    Raises:
        BackendError: The name is unknown, the import fails, or the class is no PolicyBackend.
    """
    if name in ELSEWHERE:
        raise BackendError(f"there is no backend '{name}': {ELSEWHERE[name]}")
    path = BACKENDS.get(name, name)
    module_name, _, class_name = path.partition(":")
    if not class_name:
        raise BackendError(
            f"unknown backend '{name}'; known: {', '.join(sorted(BACKENDS))}, or 'module:class' of "
            "your own"
        )
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        missing = f" (install the Python package '{error.name}')" if error.name else ""
        raise BackendError(f"backend '{name}' cannot be imported: {error}{missing}") from error
    found = getattr(module, class_name, None)
    if not (isinstance(found, type) and issubclass(found, PolicyBackend)):
        raise BackendError(f"backend '{name}': {path} is not a PolicyBackend")
    return found
