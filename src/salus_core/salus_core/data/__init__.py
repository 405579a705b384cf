"""Recorded episodes as arrays in memory: reading, splits, windows."""

from salus_core.data.step_data import EMBEDDING_DTYPE, EpisodeTable, StepData

__all__ = ["EMBEDDING_DTYPE", "EpisodeTable", "StepData"]
