# SPDX-License-Identifier: Apache-2.0
"""Episodes in Zarr: one recorder writes, everything else reads; see docs/layout.md."""

from salus_core.episode_store.checksums import DamagedRunError, NotARunError
from salus_core.episode_store.dataset import Dataset, open_dataset
from salus_core.episode_store.episodes import EpisodeEnd, EpisodeStart, Fault, SchemaError
from salus_core.episode_store.files import AtomicFiles, StoreWriteError
from salus_core.episode_store.reader import Episode, Run, open_run
from salus_core.episode_store.recovery import Recovery, Unrecovered, recover_root, recover_run
from salus_core.episode_store.relabelling import EpisodeLabel, add_label
from salus_core.episode_store.schema import (
    FORECAST_STATUS_NAMES,
    INTERVENTION_NAMES,
    NO_MESSAGE,
    Camera,
    RunSchema,
)
from salus_core.episode_store.verify import Damage, Verification, verify_run
from salus_core.episode_store.writer import EpisodeWriter

__all__ = [
    "FORECAST_STATUS_NAMES",
    "INTERVENTION_NAMES",
    "NO_MESSAGE",
    "AtomicFiles",
    "Camera",
    "Damage",
    "DamagedRunError",
    "Dataset",
    "Episode",
    "EpisodeEnd",
    "EpisodeLabel",
    "EpisodeStart",
    "EpisodeWriter",
    "Fault",
    "NotARunError",
    "Recovery",
    "Run",
    "RunSchema",
    "SchemaError",
    "StoreWriteError",
    "Unrecovered",
    "Verification",
    "add_label",
    "open_dataset",
    "open_run",
    "recover_root",
    "recover_run",
    "verify_run",
]
