# SPDX-License-Identifier: Apache-2.0
"""What can be done instead of the proposed action, by name.

Packages of others add theirs with an entry point of the group `salus.manoeuvres`: a class that is
made of a name, an ActionSpec and its `settings_type`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from typing import Any

from salus_core.actions import ActionSpec
from salus_core.predictors.settings import build
from salus_core.prevention.manoeuvres.base import Manoeuvre, ManoeuvreError
from salus_core.prevention.manoeuvres.carrying import Carry, KeepHold, ReachHigher
from salus_core.prevention.manoeuvres.grasping import GraspDeeper, Reapproach
from salus_core.prevention.manoeuvres.placing import Place
from salus_core.prevention.manoeuvres.simple import AskForHelp, Hold, Resample, Retreat, Slow

GROUP = "salus.manoeuvres"

BUILT_IN: dict[str, Any] = {
    "ask_for_help": AskForHelp,
    "hold": Hold,
    "retreat": Retreat,
    "place": Place,
    "reapproach": Reapproach,
    "grasp_deeper": GraspDeeper,
    "carry": Carry,
    "keep_hold": KeepHold,
    "reach_higher": ReachHigher,
    "resample": Resample,
    "slow": Slow,
}
"""In the order in which they are asked."""


def known_manoeuvres() -> dict[str, Any]:
    """Classes by name: the built-in ones, then those of other packages."""
    others = {point.name: point.load() for point in metadata.entry_points(group=GROUP)}
    return {**BUILT_IN, **{name: found for name, found in others.items() if name not in BUILT_IN}}


def make_manoeuvre(name: str, spec: ActionSpec, given: Mapping[str, Any]) -> Manoeuvre:
    """One manoeuvre for one environment.

    Args:
        name: of `known_manoeuvres`.
        spec: of the actions.
        given: its settings by name; what is left out has its default.

    Raises:
        ManoeuvreError: there is none of the name, its settings are wrong, or this robot's actions
            do not allow it.
    """
    known = known_manoeuvres()
    if name not in known:
        raise ManoeuvreError(f"manoeuvre '{name}' is not known: use {', '.join(known)}")
    try:
        settings = build(known[name].settings_type, dict(given), f"manoeuvres.{name}")
    except ValueError as error:
        raise ManoeuvreError(str(error)) from error
    made: Manoeuvre = known[name](name, spec, settings)
    return made
