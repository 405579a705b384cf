# SPDX-License-Identifier: Apache-2.0
"""Actions as tokens: the bins at the end of the vocabulary, and their un-normalisation."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from salus_policies.backends.base import BackendError

STATISTICS_FILE = "dataset_statistics.json"


@dataclass(frozen=True)
class ActionTokens:
    """The last `bins` tokens of the vocabulary, in falling order, stand for -1 to 1.

    Source: Kim et al., OpenVLA, 2024, section 3.2; as in RT-2 each dimension is cut into 256 bins.

    Attributes:
        vocabulary: Tokens of the language model, without padding of its matrices.
        bins: Bins of one dimension.
        low: (N,) what -1 means.
        high: (N,) what 1 means.
        mask: (N,) bool; False: the number is used as it is (a gripper).
        means: (N,) mean over the training data; None: not known.
    """

    vocabulary: int
    bins: int
    low: np.ndarray
    high: np.ndarray
    mask: np.ndarray
    means: np.ndarray | None

    @property
    def first(self) -> int:
        """The lowest action token."""
        return self.vocabulary - self.bins

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Distributions over the bins, in the order of the tokens, and over all else.

        Args:
            logits: (T, V) of the whole vocabulary.

        Returns:
            (T, bins + 1); the last column is the probability of a token that is no action.
        """
        logits = np.asarray(logits, np.float64)
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        actions = weights[:, self.first : self.vocabulary]
        rest = np.clip(1.0 - actions.sum(axis=1, keepdims=True), 0.0, 1.0)
        return np.concatenate([actions, rest], axis=1)

    def values(self, tokens: np.ndarray) -> np.ndarray:
        """The policy's own numbers of one action.

        Args:
            tokens: (N,) token numbers.

        Returns:
            (N,) un-normalised.
        """
        edges = np.linspace(-1.0, 1.0, self.bins)
        centres = (edges[:-1] + edges[1:]) / 2.0
        index = np.clip(self.vocabulary - np.asarray(tokens) - 1, 0, len(centres) - 1)
        normalised = centres[index]
        stretched = 0.5 * (normalised + 1.0) * (self.high - self.low) + self.low
        return np.where(self.mask, stretched, normalised)


def read_tokens(
    folder: Path, model_config: Any, key: str, bins: int, vocabulary: int | None
) -> ActionTokens:
    """Reads how a checkpoint codes its actions.

    Args:
        folder: The checkpoint.
        model_config: The model's configuration.
        key: Data set whose statistics are used, "unnorm_key" of OpenVLA; empty: the only one.
        bins: Of one dimension.
        vocabulary: Of the language model; None: from the configuration.

    Returns:
        The coding.

    Raises:
        BackendError: There are no statistics, or not of that data set.
    """
    statistics: Mapping[str, Any] = getattr(model_config, "norm_stats", None) or {}
    path = folder / STATISTICS_FILE
    if path.is_file():
        statistics = json.loads(path.read_text(encoding="utf-8"))
    if not key and len(statistics) == 1:
        key = next(iter(statistics))
    if key not in statistics:
        raise BackendError(
            f"checkpoint {folder} has action statistics of the data sets "
            f"{', '.join(sorted(statistics)) or '(none)'}: name one in openvla: unnorm_key"
        )
    action = statistics[key]["action"]
    low, high = (np.asarray(action.get(name, []), np.float64) for name in ("q01", "q99"))
    if low.ndim != 1 or low.shape != high.shape or not len(low) or not np.all(high >= low):
        raise BackendError(f"checkpoint {folder}: q01 and q99 of '{key}' cannot be used")
    means = action.get("mean")
    text = getattr(model_config, "text_config", model_config)
    if vocabulary is None:
        vocabulary = int(text.vocab_size) - int(getattr(model_config, "pad_to_multiple_of", 0))
    return ActionTokens(
        vocabulary=vocabulary,
        bins=bins,
        low=low,
        high=high,
        mask=np.asarray(action.get("mask", [True] * len(low)), bool),
        means=None if means is None else np.asarray(means, np.float64),
    )
