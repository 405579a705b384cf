# SPDX-License-Identifier: Apache-2.0
"""Where a foreign policy's checkpoint is: a local folder, or a repository of the model hub."""

import importlib
from pathlib import Path
from types import ModuleType

from salus_policies.backends.base import BackendError


def require(module: str, backend: str, install: str) -> ModuleType:
    """Imports a backend's library.

    Args:
        module: Its import name.
        backend: Who needs it.
        install: The command that installs it.

    Returns:
        The module.

    Raises:
        BackendError: It is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except (ImportError, RuntimeError) as error:
        # RuntimeError: torchvision and torch of different builds.
        raise BackendError(
            f"backend '{backend}' needs the Python package '{module.partition('.')[0]}', which "
            f"cannot be imported here ({error}). Install it with: {install} - or keep it out of "
            "this interpreter: start `python -m salus_policies.backends.remote.server --policy "
            f"{backend}` in an environment that has it, and use policy:=remote"
        ) from error


def resolve(checkpoint: str, backend: str, base: Path | None = None) -> Path:
    """Gives the local folder of a checkpoint, downloading it if it is a hub id.

    Args:
        checkpoint: A folder, or "owner/name" of the model hub.
        backend: Who asks.
        base: Where relative folders start; None: the current folder.

    Returns:
        An existing folder.

    Raises:
        BackendError: It is neither; the message says what to do.
    """
    folder = Path(checkpoint).expanduser()
    folder = folder if base is None else base / folder
    if folder.is_dir():
        return folder
    if checkpoint == "default":
        raise BackendError(
            f"no policy ships with the backend '{backend}': give checkpoint:=FOLDER or a hub id"
        )
    if checkpoint.count("/") != 1 or checkpoint.startswith((".", "/", "~")):
        raise BackendError(f"backend '{backend}': no folder {folder.absolute()}")
    hub = require("huggingface_hub", backend, "pip install huggingface_hub")
    try:
        return Path(hub.snapshot_download(checkpoint))
    except Exception as error:  # the hub's client throws those of three HTTP libraries
        reason = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        raise BackendError(
            f"backend '{backend}': '{checkpoint}' is no folder, and the model hub does not give "
            f"it: {reason}. On a machine with a network: `hf download {checkpoint} "
            "--local-dir FOLDER`, then checkpoint:=FOLDER"
        ) from error
