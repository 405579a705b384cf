# SPDX-License-Identifier: Apache-2.0
"""The health of a data set's signals: distribution, validity, correlation, worth by itself."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from salus_core.data import DataError, StepData
from salus_core.metrics import EpisodeBootstrap, Estimate, auroc
from salus_core.signals import SIGNAL_NAMES, SIGNAL_UNITS

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
CLOCK = "step"
"""The number of the step, which every table sets beside the signals."""
REPLICATES = 200


@dataclass(frozen=True)
class SignalReport:
    """Figures of S signals and the clock over the steps that are not censored, K failure types.

    Attributes:
        episodes: of the data set.
        steps: not censored within the longest horizon.
        failed: (K,) episodes that failed by each type.
        before: (K,) steps within the longest horizon before it.
        valid: (S,) share of the steps at which a signal is valid.
        quantiles: (S, 7) at `QUANTILES`, of valid values; NaN if there are none.
        correlation: (S + 1, S + 1) Spearman's rank correlation over the steps at which both are
            valid, the clock last; NaN where it is not defined.
        auroc: (S + 1) lists of K: the value alone as a score of "this failure begins within the
            longest horizon", against all other steps; below 0.5, low values precede the failure.
        samples: (N, S + 1) values, NaN where not valid, the clock last.
        near: (N,) bool, some failure begins within the longest horizon.
        failure_names: of the K types.
        horizon: the longest one [s].
    """

    episodes: int
    steps: int
    failed: np.ndarray
    before: np.ndarray
    valid: np.ndarray
    quantiles: np.ndarray
    correlation: np.ndarray
    auroc: list[list[Estimate]]
    samples: np.ndarray
    near: np.ndarray
    failure_names: tuple[str, ...]
    horizon: float


def signal_report(data: StepData) -> SignalReport:
    """Compute the figures.

    Raises:
        DataError: every step is censored.
    """
    known = data.label_valid[:, -1]
    if not known.any():
        raise DataError("every step is censored: all episodes were aborted or intervened in")
    valid = data.valid[known]
    values = np.where(valid, data.signals[known], np.nan).astype(np.float64)
    values = np.column_stack([values, data.step[known]])
    labels, episode = data.labels[known][:, -1], data.episode[known]
    bootstrap = EpisodeBootstrap(len(data.episodes), REPLICATES)
    quantiles = np.full((values.shape[1] - 1, len(QUANTILES)), np.nan)
    for index in np.flatnonzero(valid.any(axis=0)):
        quantiles[index] = np.quantile(values[valid[:, index], index], QUANTILES)
    scores = []
    for column in values.T:
        here = np.isfinite(column)
        scores.append(
            [auroc(column[here], positive[here], episode[here], bootstrap) for positive in labels.T]
        )
    types = np.array(data.taxonomy.codes)
    return SignalReport(
        episodes=len(data.episodes),
        steps=int(known.sum()),
        failed=(data.episodes.failure[:, None] == types).sum(axis=0),
        before=labels.sum(axis=0),
        valid=valid.mean(axis=0),
        quantiles=quantiles,
        correlation=rank_correlation(values),
        auroc=scores,
        samples=values,
        near=labels.any(axis=1),
        failure_names=data.taxonomy.names,
        horizon=data.horizons[-1],
    )


def rank_correlation(values: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation of columns, each pair over the rows where both are finite.

    Args:
        values: (N, C).

    Returns:
        (C, C) symmetric; NaN where a pair has fewer than three rows or one that does not vary.
    """
    count = values.shape[1]
    result = np.full((count, count), np.nan)
    finite = np.isfinite(values)
    for i in range(count):
        for j in range(i, count):
            both = finite[:, i] & finite[:, j]
            if both.sum() < 3:
                continue
            one, other = values[both, i], values[both, j]
            if np.ptp(one) > 0 and np.ptp(other) > 0:
                result[i, j] = result[j, i] = spearmanr(one, other).statistic
    return result


def format_report(report: SignalReport) -> str:
    """Text tables."""
    names = [*SIGNAL_NAMES, CLOCK]
    width = max(map(len, names)) + 2
    lines = [
        f"{report.episodes} episodes, {report.steps} steps that are not censored",
        "",
        f"{'signal':<{width}}{'unit':<10}{'valid':>7}"
        + "".join(f"{f'{100 * q:g} %':>10}" for q in QUANTILES),
    ]
    for index, name in enumerate(SIGNAL_NAMES):
        row = f"{name:<{width}}{SIGNAL_UNITS[index]:<10}{100 * report.valid[index]:>5.1f} %"
        lines.append(row + "".join(f"{value:>10.4g}" for value in report.quantiles[index]))
    lines += [
        "",
        f"AUROC of each alone, failure within {1000 * report.horizon:g} ms "
        "(95 % interval over episodes; below 0.5: low values precede the failure)",
        f"{'signal':<{width}}" + "".join(f"{name:>20}" for name in report.failure_names),
        f"{'  episodes, steps':<{width}}"
        + "".join(f"{f'{e}, {s}':>20}" for e, s in zip(report.failed, report.before, strict=True)),
    ]
    for name, row in zip(names, report.auroc, strict=True):
        lines.append(f"{name:<{width}}" + "".join(f"{_cell(one):>20}" for one in row))
    lines += ["", "rank correlation (Spearman)", " " * width + _heads(len(names))]
    for index, name in enumerate(names):
        cells = "".join(f"{_number(value):>7}" for value in report.correlation[index])
        lines.append(f"{name:<{width}}{cells}")
    return "\n".join(lines)


def _heads(count: int) -> str:
    return "".join(f"{index:>7}" for index in range(count - 1)) + f"{CLOCK:>7}"


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"


def _cell(one: Estimate) -> str:
    if np.isnan(one.value):
        return "-"
    return f"{one.value:.2f} [{_number(one.low)}, {_number(one.high)}]"
