# SPDX-License-Identifier: Apache-2.0
"""All figures of one method on the parts of an evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from salus_core import evaluation
from salus_core.baselines import Baseline, BaselineError
from salus_core.calibration import (
    ConformalBand,
    CrossConformal,
    Threshold,
    band_part,
    calibration_split,
)
from salus_core.data import StepData
from salus_core.evaluation import (
    ANY_TARGET,
    MAIN_TARGET,
    TIMEOUTS,
    AlphaFigures,
    MethodFigures,
    Pair,
    PartFigures,
    Scored,
    Thresholds,
)
from salus_core.failures import BUILT_IN, HORIZONS_S, Taxonomy
from salus_core.metrics import EpisodeBootstrap, Estimate, difference, estimate
from salus_core.predictors.interface import Detector, Predictor
from salus_core.report.sources import Parts, SourceError


def horizon_pairs(horizons: Sequence[float]) -> tuple[Pair, ...]:
    """The main target within each of the horizons."""
    return tuple((MAIN_TARGET, index) for index in range(len(horizons)))


def type_pairs(taxonomy: Taxonomy, horizons: Sequence[float]) -> tuple[Pair, ...]:
    """All targets within the longest horizon, the main one first."""
    targets = (MAIN_TARGET, *taxonomy.names, ANY_TARGET)
    return tuple((target, len(horizons) - 1) for target in targets)


def main_pairs(data: StepData) -> tuple[Pair, ...]:
    """Of methods beside the one that is evaluated: all horizons or all targets."""
    of_types = type_pairs(data.taxonomy, data.horizons)
    return (*horizon_pairs(data.horizons), *of_types[1:])


@dataclass(frozen=True)
class Settings:
    """How figures are made.

    Attributes:
        alpha: false-alarm rate per successful episode of alarms.
        replicates: of the bootstrap.
        calibration: of baselines' probabilities.
        shape: of bands.
    """

    alpha: float = 0.05
    replicates: int = 1000
    calibration: str = "platt"
    shape: str = "functional"


@dataclass(frozen=True)
class Assessed:
    """One method's figures.

    Attributes:
        name: of the method.
        scores: of the test steps.
        band: of its alarm; None: too few calibration episodes.
        alarm: (N,) bool of the test steps; None: without a band.
        thresholds: from the validation split; None: there is none.
        figures: of the test part and the held-out ones.
        taxonomy: of the failure types that the figures are about.
        horizons: [s], of the indices in the figures' keys.
    """

    name: str
    scores: Scored
    band: Threshold | None
    alarm: np.ndarray | None
    thresholds: Thresholds | None
    figures: MethodFigures
    taxonomy: Taxonomy = BUILT_IN
    horizons: tuple[float, ...] = HORIZONS_S

    @property
    def longest(self) -> int:
        """Index of the longest horizon."""
        return len(self.horizons) - 1


def assess(
    detector: Detector | Predictor,
    parts: Parts,
    settings: Settings,
    pairs: Sequence[Pair] | None = None,
    band: Threshold | None = None,
    name: str = "",
) -> Assessed:
    """Score all parts and compute every figure.

    Args:
        detector: fitted.
        parts: of the evaluation.
        settings: of figures.
        pairs: (target, horizon index) of steps' figures; None: `main_pairs`.
        band: its own; None: made from the calibration part, see `band_part`.
        name: in tables; empty: the detector's own.

    Raises:
        SourceError: its band is for another false-alarm rate, and there is nothing to make one of.
    """
    pairs = pairs or main_pairs(parts.test)
    shape = band.shape if isinstance(band, ConformalBand) else settings.shape
    test = evaluation.scored(detector, parts.test, name)
    thresholds, calibrated = None, None
    if parts.validation is not None:
        validation = evaluation.scored(detector, parts.validation)
        thresholds = evaluation.validation_thresholds(validation, parts.validation, pairs)
    banded: StepData | None = None
    if isinstance(band, CrossConformal):
        # Its score is a rank, which knows no false-alarm rate.
        band = replace(band, alpha=settings.alpha)
    elif parts.calibration is not None:
        banded = band_part(detector, parts.calibration)
        calibrated = evaluation.scored(detector, banded)
        if band is None or band.alpha != settings.alpha:
            band = evaluation.fit_band(calibrated, banded, settings.alpha, shape)
    elif band is not None and band.alpha != settings.alpha:
        raise SourceError(
            f"--alpha {settings.alpha}: the checkpoint's conformal threshold is for {band.alpha}, "
            "another one needs calibration episodes: give --runs"
        )
    alarm = None if band is None else band.alarm(test.score, parts.test.step)
    figures = _figures(test, parts.test, alarm, thresholds, pairs, settings.replicates)
    alphas: tuple[AlphaFigures, ...] = ()
    if calibrated is not None:
        bootstrap = EpisodeBootstrap(len(parts.test.episodes), settings.replicates)
        alphas = evaluation.alpha_figures(test, parts.test, calibrated, banded, bootstrap, shape)
    held_out = {}
    for part, data in parts.held_out.items():
        apart = evaluation.scored(detector, data)
        sounded = None if band is None else band.alarm(apart.score, data.step)
        theirs = _figures(apart, data, sounded, thresholds, pairs, settings.replicates)
        held_out[part] = replace(theirs, loss=_loss(figures, theirs))
    return Assessed(
        test.name,
        test,
        band,
        alarm,
        thresholds,
        MethodFigures(
            **vars(figures),
            alphas=alphas,
            held_out=held_out,
            conformal_episodes=None if band is None else band.episodes,
            alarm_alpha=None if band is None else band.alpha,
        ),
        parts.test.taxonomy,
        parts.test.horizons,
    )


def _figures(
    method: Scored,
    data: StepData,
    alarm: np.ndarray | None,
    thresholds: Thresholds | None,
    pairs: Sequence[Pair],
    replicates: int,
) -> PartFigures:
    bootstrap = EpisodeBootstrap(len(data.episodes), replicates)
    figures = PartFigures({}, {}, {})
    for group, chosen in evaluation.groups_of(data).items():
        if not chosen.any():
            continue
        figures.steps[group] = evaluation.step_figures(
            method, data, chosen, bootstrap, thresholds, pairs
        )
        for timeout in TIMEOUTS:
            counted = timeout == "with_timeout"
            figures.episodes.setdefault(timeout, {})[group] = evaluation.episode_figures(
                method, data, chosen, counted, bootstrap
            )
            if alarm is not None:
                figures.alarm.setdefault(timeout, {})[group] = evaluation.alarm_figures(
                    alarm, data, chosen, counted, bootstrap
                )
    return figures


def _loss(seen: PartFigures, unseen: PartFigures) -> dict[Pair, Estimate]:
    """AUROC that is lost on held-out data; two data sets, so the replicates are independent."""
    lost = {}
    for pair, figures in unseen.steps["all"].items():
        ours, theirs = seen.of_steps("all", pair).auroc, figures.auroc
        if ours is not None and theirs is not None:
            lost[pair] = estimate(ours.value - theirs.value, ours.replicates - theirs.replicates)
    return lost


def fitted_baselines(
    baselines: Iterable[Baseline], parts: Parts, settings: Settings
) -> tuple[list[Detector | Predictor], list[str]]:
    """Fit baselines on the training part.

    Returns:
        Those that could be fitted, those with probabilities calibrated; and why others could not.
    """
    fitted: list[Detector | Predictor] = []
    left_out = []
    for baseline in baselines:
        try:
            if parts.train is not None:
                baseline.fit(parts.train)
            elif type(baseline).fit is not Baseline.fit:
                raise BaselineError(f"baseline '{baseline.name}' needs a training split")
            if baseline.needs_chunks and parts.test.chunk is None:
                raise BaselineError(
                    f"baseline '{baseline.name}' needs action chunks: none are there"
                )
        except BaselineError as error:
            left_out.append(str(error))
            continue
        if hasattr(baseline, "probabilities") and parts.calibration is not None:
            half, _ = calibration_split(parts.calibration)
            fitted.append(evaluation.CalibratedBaseline(baseline, settings.calibration, half))
        else:
            fitted.append(baseline)
    return fitted, left_out


COMPARED = ("auroc", "average_precision")


def step_differences(
    first: Assessed, second: Assessed, group: str = "all", pair: Pair | None = None
) -> dict[str, Estimate]:
    """First minus second, paired, of the figures in COMPARED; both on the same test data."""
    pair = pair or (MAIN_TARGET, first.longest)
    ours, theirs = (one.figures.of_steps(group, pair) for one in (first, second))
    found = {name: (getattr(ours, name), getattr(theirs, name)) for name in COMPARED}
    return {name: difference(*both) for name, both in found.items() if None not in both}


def episode_difference(first: Assessed, second: Assessed, timeout: str) -> Estimate | None:
    """First minus second of the ROC-AUC at T_min, paired; None: not defined."""
    ours, theirs = (one.figures.of_episodes(timeout).auroc for one in (first, second))
    return None if ours is None or theirs is None else difference(ours, theirs)
