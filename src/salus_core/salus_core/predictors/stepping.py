# SPDX-License-Identifier: Apache-2.0
"""One step after the other: what a network computes live, without the overhead of batches."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from salus_core.predictors.network import Network
from salus_core.predictors.outcome import OutcomeHead

_Layer = tuple[np.ndarray, np.ndarray]  # weights and biases


class Step(NamedTuple):
    """What a network says of a step.

    Attributes:
        found: probabilities (H, K), or a risk ().
        outlook: (K,) probabilities that the episode fails by each type; None: it does not say.
        risks: (M,) of each member of `outcome`, see `member_risks_of`; None: it has none.
    """

    found: np.ndarray
    outlook: np.ndarray | None = None
    risks: np.ndarray | None = None


class Stepper(Protocol):
    """The state of one episode."""

    memory: Any
    """What it remembers of the episode: a copy; can be set to what it was."""

    def reset(self) -> None:
        """Begin an episode."""
        ...

    def advance(self, columns: np.ndarray, embedding: np.ndarray) -> Step:
        """Of the next step, of columns (1, F) and (1, D)."""
        ...


class TorchStepper:
    """Steps of any network, with its own `advance`.

    Args:
        network: on the CPU.
        alarm_types: codes of the failures that members' risks are of.
    """

    def __init__(self, network: Network, alarm_types: Sequence[int]):
        self._network = network
        self._types = alarm_types
        self._dtype = next(network.parameters()).dtype
        self.reset()

    def reset(self) -> None:
        """See Stepper."""
        self._state: Any = self._network.start()

    @property
    def memory(self) -> Any:
        """See Stepper."""
        return copy.deepcopy(self._state)

    @memory.setter
    def memory(self, state: Any) -> None:
        self._state = copy.deepcopy(state)

    def advance(self, columns: np.ndarray, embedding: np.ndarray) -> Step:
        """See Stepper."""
        with torch.inference_mode():
            outputs, self._state = self._network.advance(
                torch.from_numpy(columns).to(self._dtype),
                torch.from_numpy(embedding).to(self._dtype),
                self._state,
            )
            parts = (
                finish(self._network, outputs),
                outlook_of(self._network, outputs),
                member_risks_of(self._network, outputs, self._types),
            )
        return Step(*(None if part is None else part.float().numpy()[0] for part in parts))


def member_risks_of(network: Network, outputs: Tensor, types: Sequence[int]) -> Tensor | None:
    """Outputs (..., O) to the probability of each member that the episode fails, (..., M).

    Args:
        network: of the outputs.
        outputs: of its steps.
        types: codes of the failures that count.

    Returns:
        None: the network has no members of its own.
    """
    head = network.head
    return head.member_risks(outputs, types) if isinstance(head, OutcomeHead) else None


def outlook_of(network: Network, outputs: Tensor) -> Tensor | None:
    """Outputs (..., O) to the probabilities of each type of failure at the episode's end, (..., K).

    None: the network does not say.
    """
    if not getattr(network.head, "has_outcome_head", False):
        return None
    return network.head.log_outlook(outputs)[..., :-1].exp()


def finish(network: Network, outputs: Tensor) -> Tensor:
    """Outputs (..., O) to probabilities (..., H, K), or risks (...)."""
    return outputs[..., 0] if network.head is None else network.head.probabilities(outputs)


class TemporalStepper:
    """Steps of `temporal`, in numpy.

    Its layers are so small that torch spends the time on the calls, not on the numbers: at batch 1
    numpy takes a fraction of it (benchmarks/predictor_latency.py).

    Args:
        weights: the network's state by name.
        dilations: of the TCN's layers; empty: its core is a GRU.
        horizon_steps: horizons in steps, ascending.
        types: K.
    """

    def __init__(
        self,
        weights: dict[str, Tensor],
        dilations: tuple[int, ...],
        horizon_steps: tuple[int, ...],
        types: int,
    ):
        self._weights = {
            name: tensor.detach().cpu().double().numpy() for name, tensor in weights.items()
        }
        self._ends = np.array(horizon_steps) - 1
        self._shape = (horizon_steps[-1], types)
        self._first, self._norm = self._pair("first"), self._pair("norm")
        self._last = self._pair("last")
        # The layers that read the embedding are computed as one, of the rows of all.
        reading = [
            self._pair(f"projection.{name}")
            for name in ("hidden", "linear", "free")
            if f"projection.{name}.weight" in weights
        ]
        self._hidden = 0
        if "projection.hidden.weight" in weights:
            self._hidden = len(reading[0][1])
            self._linear = reading.pop(1)
        self._reading: _Layer | None = None
        if reading:
            self._reading = tuple(np.concatenate(parts) for parts in zip(*reading, strict=True))
        self._core = (
            _TcnCore(
                [
                    (dilation, self._pair(f"layers.{i}.norm"), self._pair(f"layers.{i}.linear"))
                    for i, dilation in enumerate(dilations)
                ],
                len(self._norm[0]),
            )
            if dilations
            else _GruCore(self._pair("gru", "_ih_l0"), self._pair("gru", "_hh_l0"))
        )

    def _pair(self, name: str, end: str = "") -> _Layer:
        return self._weights[f"{name}.weight{end}"], self._weights[f"{name}.bias{end}"]

    def reset(self) -> None:
        """See Stepper."""
        self._core.reset()

    @property
    def memory(self) -> Any:
        """See Stepper."""
        return copy.deepcopy(self._core.state)

    @memory.setter
    def memory(self, state: Any) -> None:
        self._core.state = copy.deepcopy(state)

    def advance(self, columns: np.ndarray, embedding: np.ndarray) -> Step:
        """See Stepper."""
        inputs = columns[0].astype(np.float64)
        if self._reading is not None:
            read = _linear(embedding[0].astype(np.float64), self._reading)
            if self._hidden:
                projected = _linear(np.maximum(read[: self._hidden], 0.0), self._linear)
                read = np.concatenate([projected, read[self._hidden :]])
            inputs = np.concatenate([inputs, read])
        hidden = self._core.advance(np.maximum(_linear(inputs, self._first), 0.0))
        outputs = _linear(_normalised(hidden, self._norm), self._last)
        hazards = self._shape[0] * self._shape[1]
        # As HazardHead: hazards of competing risks, then their cumulative incidence.
        odds = np.exp(outputs[:hazards].reshape(self._shape))
        survive = 1.0 / (1.0 + odds.sum(axis=1))
        survived = np.cumprod(survive)
        incidence = np.cumsum(odds * survived[:, None], axis=0)
        found, outlook = incidence[self._ends].astype(np.float32), None
        if len(outputs) > hazards:
            ends = np.exp(outputs[hazards:] - max(outputs[hazards:].max(), 0.0))
            success = np.exp(-max(outputs[hazards:].max(), 0.0))
            outlook = (ends / (ends.sum() + success)).astype(np.float32)
        return Step(found, outlook)


class _TcnCore:
    """Layers (dilation, norm, linear) over the past, as `temporal.CausalLayer`."""

    def __init__(self, layers: list[tuple[int, _Layer, _Layer]], width: int):
        self._layers, self._width = layers, width
        self.reset()

    def reset(self) -> None:
        zeros = np.zeros(self._width)
        self.state = [[zeros] * (2 * dilation) for dilation, _, _ in self._layers]

    def advance(self, hidden: np.ndarray) -> np.ndarray:
        for (dilation, norm, linear), past in zip(self._layers, self.state, strict=True):
            now = _normalised(hidden, norm)
            joined = np.concatenate([past[0], past[dilation], now])
            past.append(now)
            past.pop(0)
            hidden = hidden + np.maximum(_linear(joined, linear), 0.0)
        return hidden


class _GruCore:
    """torch.nn.GRU of one layer (Cho et al. 2014): gates reset, update and new, in this order."""

    def __init__(self, from_input: _Layer, from_state: _Layer):
        self._from_input, self._from_state = from_input, from_state
        self.reset()

    def reset(self) -> None:
        self.state = np.zeros(self._from_state[0].shape[1])

    def advance(self, hidden: np.ndarray) -> np.ndarray:
        size = len(self.state)
        given, kept = _linear(hidden, self._from_input), _linear(self.state, self._from_state)
        gates = 1.0 / (1.0 + np.exp(-given[: 2 * size] - kept[: 2 * size]))
        forget, update = gates[:size], gates[size:]
        new = np.tanh(given[2 * size :] + forget * kept[2 * size :])
        self.state = new + update * (self.state - new)
        return self.state


def _linear(values: np.ndarray, layer: _Layer) -> np.ndarray:
    return layer[0] @ values + layer[1]


def _normalised(values: np.ndarray, norm: _Layer) -> np.ndarray:
    """Layer normalisation, with torch's epsilon."""
    centred = values - values.sum() / len(values)
    return centred / np.sqrt(centred @ centred / len(values) + 1e-5) * norm[0] + norm[1]
