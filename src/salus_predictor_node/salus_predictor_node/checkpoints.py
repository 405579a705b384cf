"""Opening of predictor checkpoints."""

from pathlib import Path
from typing import NoReturn


class CheckpointError(Exception):
    """A checkpoint cannot be used; the message says which and why."""


def open_checkpoint(checkpoint: str) -> NoReturn:
    """Open a predictor's checkpoint. This version has no kind of predictor, so none can be opened.

    Args:
        checkpoint: a file or folder.

    Raises:
        CheckpointError: always, with the reason.
    """
    if not Path(checkpoint).expanduser().exists():
        raise CheckpointError(
            f"predictor checkpoint '{checkpoint}' not found: no such file or folder; leave "
            "'checkpoint' empty to run without forecasts"
        )
    raise CheckpointError(
        f"predictor checkpoint '{checkpoint}' cannot be loaded: this version has no predictor yet; "
        "leave 'checkpoint' empty to run without forecasts"
    )
