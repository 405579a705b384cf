"""Episodes in Zarr: one recorder writes, everything else reads; see docs/layout.md."""

from salus_core.episode_store.files import AtomicFiles, StoreWriteError
from salus_core.episode_store.reader import (
    Dataset,
    Episode,
    NotARunError,
    Run,
    open_dataset,
    open_run,
)
from salus_core.episode_store.recovery import Recovery, recover_root, recover_run
from salus_core.episode_store.schema import (
    ACTION_NAMES,
    ACTION_UNITS,
    FORECAST_STATUS_NAMES,
    INTERVENTION_NAMES,
    JOINT_NAMES,
    NO_MESSAGE,
    Camera,
    EpisodeEnd,
    EpisodeStart,
    Fault,
    RunSchema,
    SchemaError,
)
from salus_core.episode_store.writer import EpisodeWriter

__all__ = [
    "ACTION_NAMES",
    "ACTION_UNITS",
    "FORECAST_STATUS_NAMES",
    "INTERVENTION_NAMES",
    "JOINT_NAMES",
    "NO_MESSAGE",
    "AtomicFiles",
    "Camera",
    "Dataset",
    "Episode",
    "EpisodeEnd",
    "EpisodeStart",
    "EpisodeWriter",
    "Fault",
    "NotARunError",
    "Recovery",
    "Run",
    "RunSchema",
    "SchemaError",
    "StoreWriteError",
    "open_dataset",
    "open_run",
    "recover_root",
    "recover_run",
]
