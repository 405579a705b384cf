# SPDX-License-Identifier: Apache-2.0
"""Baselines by name."""

from collections.abc import Callable, Iterable

from salus_core.baselines.base import Baseline
from salus_core.baselines.clock import Chance, Clock, FittedClock
from salus_core.baselines.density import LogpZO, RandomDistillation
from salus_core.baselines.fiper import Fiper
from salus_core.baselines.latent_distance import CosineNeighbours, Mahalanobis
from salus_core.baselines.proprioception import ProprioceptionMlp
from salus_core.baselines.stac import Stac, StacSingle
from salus_core.baselines.uncertainty import SOURCES, MaxUncertainty

UNCERTAINTY_WINDOW = 10

_FACTORIES: tuple[Callable[[], Baseline], ...] = (
    Clock,
    FittedClock,
    Chance,
    *(lambda source=source: MaxUncertainty(source) for source in SOURCES),
    *(lambda source=source: MaxUncertainty(source, UNCERTAINTY_WINDOW) for source in SOURCES),
    Mahalanobis,
    *(lambda k=k: CosineNeighbours(k) for k in (1, 5, 10)),
    Stac,
    StacSingle,
    RandomDistillation,
    LogpZO,
    Fiper,
    ProprioceptionMlp,
)

BASELINES: dict[str, Callable[[], Baseline]] = {factory().name: factory for factory in _FACTORIES}
"""Factories by name, in the order of tables."""


def make_baselines(names: Iterable[str]) -> list[Baseline]:
    """Make baselines that are not fitted yet.

    Raises:
        ValueError: there is no such baseline.
    """
    made = []
    for name in names:
        if name not in BASELINES:
            raise ValueError(f"unknown baseline '{name}': use some of {', '.join(BASELINES)}")
        made.append(BASELINES[name]())
    return made
