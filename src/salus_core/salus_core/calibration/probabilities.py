# SPDX-License-Identifier: Apache-2.0
"""Maps from a predictor's probabilities to calibrated ones, one per horizon and failure type.

Fit on the calibration split only. `apply` keeps what forecasts promise: they never fall with the
horizon, and over the types they sum to at most 1.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from salus_core.calibration.reading import choice, entry, numbers

MIN_POSITIVES = 5
"""Positive steps below which a horizon and type keep their probabilities as they are."""

MIN_SCALE = 1e-3
"""Of scores that are worse than none: the order stays, nothing else is left of them."""

_EPSILON = 1e-7


class ProbabilityCalibration(ABC):
    """Maps probabilities (..., H, K) to calibrated ones of the same shape."""

    kind: ClassVar[str]
    fitted: np.ndarray
    """(H, K) bool; False: too few positives, the probabilities pass unchanged."""

    @abstractmethod
    def _map(self, probabilities: np.ndarray) -> np.ndarray:
        """Map each horizon and type by itself."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Content as JSON values."""

    def apply(self, probabilities: np.ndarray) -> np.ndarray:
        """Calibrated probabilities.

        Args:
            probabilities: (..., H, K) in [0, 1].

        Returns:
            (..., H, K) float32; not falling with the horizon; a sum over types of at most 1 at
            every horizon.
        """
        mapped = self._map(np.asarray(probabilities, np.float64))
        rising = np.maximum.accumulate(mapped, axis=-2)
        # One divisor for all horizons, or they would no longer rise.
        total = rising[..., -1, :].sum(axis=-1)[..., None, None]
        return (rising / np.maximum(total, 1.0)).astype(np.float32)


@dataclass(frozen=True)
class ScalingCalibration(ProbabilityCalibration):
    """sigmoid(scale * logit(p) + bias).

    With bias 0 it is temperature scaling (Guo et al. 2017, sec. 4.2; scale is 1 / T), else Platt
    scaling (Platt 1999). A network trained with positive weights is wrong by a bias, which a
    temperature cannot mend.

    Attributes:
        scale: (H, K), positive: the order of scores stays.
        bias: (H, K).
        fitted: (H, K) bool.
    """

    kind: ClassVar[str] = "scaling"
    scale: np.ndarray
    bias: np.ndarray
    fitted: np.ndarray

    def _map(self, probabilities: np.ndarray) -> np.ndarray:
        clipped = np.clip(probabilities, _EPSILON, 1.0 - _EPSILON)
        logit = np.log(clipped) - np.log1p(-clipped)
        return 1.0 / (1.0 + np.exp(-(self.scale * logit + self.bias)))

    def to_dict(self) -> dict[str, Any]:
        """Content as JSON values."""
        return {
            "kind": self.kind,
            "scale": self.scale.tolist(),
            "bias": self.bias.tolist(),
            "fitted": self.fitted.tolist(),
        }

    @classmethod
    def identity(cls, shape: tuple[int, int]) -> "ScalingCalibration":
        """Leave probabilities as they are, but for the order of horizons and the sum."""
        return cls(np.ones(shape), np.zeros(shape), np.zeros(shape, bool))

    @classmethod
    def fit(
        cls, probabilities: np.ndarray, labels: np.ndarray, valid: np.ndarray, with_bias: bool
    ) -> "ScalingCalibration":
        """Fit by maximum likelihood.

        Args:
            probabilities: (N, H, K).
            labels: (N, H, K) bool.
            valid: (N, H) bool; the others are censored.
            with_bias: Platt scaling instead of a temperature alone.
        """
        shape = probabilities.shape[1:]
        scale, bias, fitted = np.ones(shape), np.zeros(shape), np.zeros(shape, bool)
        for h, k in np.ndindex(*shape):
            chosen = valid[:, h]
            p = np.clip(probabilities[chosen, h, k].astype(float), _EPSILON, 1.0 - _EPSILON)
            y = labels[chosen, h, k]
            if min(y.sum(), (~y).sum()) < MIN_POSITIVES:
                continue
            fitted[h, k] = True
            scale[h, k], bias[h, k] = _logistic(np.log(p) - np.log1p(-p), y, with_bias)
        return cls(scale, bias, fitted)


@dataclass(frozen=True)
class IsotonicCalibration(ProbabilityCalibration):
    """A rising step-wise linear map (Zadrozny & Elkan 2002).

    Free of any form, but it makes ties: scores between two knots of equal height become one.

    Attributes:
        knots: per horizon and type, rising (x, y) of the map; None: not fitted.
    """

    kind: ClassVar[str] = "isotonic"
    knots: tuple[tuple[tuple[np.ndarray, np.ndarray] | None, ...], ...]

    @property
    def fitted(self) -> np.ndarray:
        """(H, K) bool."""
        return np.array([[knot is not None for knot in row] for row in self.knots])

    def _map(self, probabilities: np.ndarray) -> np.ndarray:
        mapped = probabilities.copy()
        for h, row in enumerate(self.knots):
            for k, knot in enumerate(row):
                if knot is not None:
                    mapped[..., h, k] = np.interp(probabilities[..., h, k], *knot)
        return mapped

    def to_dict(self) -> dict[str, Any]:
        """Content as JSON values."""
        return {
            "kind": self.kind,
            "knots": [
                [None if knot is None else [axis.tolist() for axis in knot] for knot in row]
                for row in self.knots
            ],
        }

    @classmethod
    def fit(
        cls, probabilities: np.ndarray, labels: np.ndarray, valid: np.ndarray
    ) -> "IsotonicCalibration":
        """Fit by least squares.

        Args:
            probabilities: (N, H, K).
            labels: (N, H, K) bool.
            valid: (N, H) bool; the others are censored.
        """
        from sklearn.isotonic import IsotonicRegression  # slow to import, and only to fit

        shape = probabilities.shape[1:]
        knots: list[list[tuple[np.ndarray, np.ndarray] | None]] = [
            [None] * shape[1] for _ in range(shape[0])
        ]
        for h, k in np.ndindex(*shape):
            chosen = valid[:, h]
            y = labels[chosen, h, k]
            if min(y.sum(), (~y).sum()) < MIN_POSITIVES:
                continue
            fit = IsotonicRegression(out_of_bounds="clip")
            fit.fit(probabilities[chosen, h, k].astype(float), y.astype(float))
            knots[h][k] = (np.asarray(fit.X_thresholds_), np.asarray(fit.y_thresholds_))
        return cls(tuple(tuple(row) for row in knots))


CALIBRATIONS = ("none", "temperature", "platt", "isotonic")
"""Names for `fit_calibration`."""


def fit_calibration(
    name: str, probabilities: np.ndarray, labels: np.ndarray, valid: np.ndarray
) -> ProbabilityCalibration:
    """Fit one of CALIBRATIONS.

    Args:
        name: of the calibration.
        probabilities: (N, H, K), of the calibration split.
        labels: (N, H, K) bool.
        valid: (N, H) bool; the others are censored.

    Raises:
        ValueError: there is no such calibration.
    """
    if name == "none":
        return ScalingCalibration.identity(probabilities.shape[1:])
    if name == "isotonic":
        return IsotonicCalibration.fit(probabilities, labels, valid)
    if name in CALIBRATIONS:
        return ScalingCalibration.fit(probabilities, labels, valid, with_bias=name == "platt")
    raise ValueError(f"unknown calibration '{name}': use one of {', '.join(CALIBRATIONS)}")


def calibration_from_dict(
    content: Mapping[str, Any], shape: tuple[int, int]
) -> ProbabilityCalibration:
    """Reverse `to_dict`.

    Args:
        content: of `to_dict`.
        shape: (H, K) of the probabilities.

    Raises:
        ValueError: its kind is not known, or an entry is missing, of another shape, or not a finite
            number in its range.
    """
    kinds = (ScalingCalibration.kind, IsotonicCalibration.kind)
    if choice(content, "kind", kinds) == IsotonicCalibration.kind:
        return IsotonicCalibration(_knots(entry(content, "knots"), shape))
    fitted = entry(content, "fitted")
    rows = fitted if isinstance(fitted, list) else []
    if [len(row) if isinstance(row, list) else -1 for row in rows] != [shape[1]] * shape[0] or any(
        type(value) is not bool for row in rows for value in row
    ):
        raise ValueError(f"'fitted' must hold {shape[0]} x {shape[1]} times true or false")
    return ScalingCalibration(
        numbers(content, "scale", shape, low=1e-9, high=1e9),
        numbers(content, "bias", shape, low=-1e9, high=1e9),
        np.array(fitted, bool),
    )


def _knots(
    content: Any, shape: tuple[int, int]
) -> tuple[tuple[tuple[np.ndarray, np.ndarray] | None, ...], ...]:
    rows = content if isinstance(content, list) else []
    if [len(row) if isinstance(row, list) else -1 for row in rows] != [shape[1]] * shape[0]:
        raise ValueError(f"'knots' must hold {shape[0]} x {shape[1]} maps")
    found = []
    for h, row in enumerate(rows):
        maps: list[tuple[np.ndarray, np.ndarray] | None] = []
        for k, knot in enumerate(row):
            if knot is None:
                maps.append(None)
                continue
            name = f"knots[{h}][{k}]"
            x, y = numbers({name: knot}, name, (2, None), low=0.0, high=1.0)
            if (np.diff(x) < 0).any() or (np.diff(y) < 0).any():
                raise ValueError(f"'{name}' must be ascending")
            maps.append((x, y))
        found.append(tuple(maps))
    return tuple(found)


def _logistic(logit: np.ndarray, y: np.ndarray, with_bias: bool) -> tuple[float, float]:
    """Scale and bias of the likeliest sigmoid; the scale stays positive."""
    from sklearn.linear_model import LogisticRegression  # slow to import, and only to fit

    # Separable data have no finite optimum: next to no penalty, instead of none.
    fit = LogisticRegression(C=1e6, fit_intercept=with_bias, tol=1e-8, max_iter=1000)
    fit.fit(logit[:, None], y)
    scale, bias = float(fit.coef_[0, 0]), float(fit.intercept_[0]) if with_bias else 0.0
    if scale >= MIN_SCALE:
        return scale, bias
    return MIN_SCALE, _bias(MIN_SCALE * logit, y) if with_bias else 0.0


def _bias(logit: np.ndarray, y: np.ndarray) -> float:
    """Likeliest bias of sigmoid(logit + bias), where the mean forecast is the share of y."""
    share = y.mean()
    # The mean forecast rises with the bias and is too low at one end, too high at the other.
    middle = np.log(share) - np.log1p(-share)
    low, high = middle - logit.max(), middle - logit.min()
    for _ in range(60):
        bias = 0.5 * (low + high)
        if (1.0 / (1.0 + np.exp(-(logit + bias)))).mean() < share:
            low = bias
        else:
            high = bias
    return float(0.5 * (low + high))
