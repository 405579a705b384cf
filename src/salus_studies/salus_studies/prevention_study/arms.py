# SPDX-License-Identifier: Apache-2.0
"""The arms of a prevention study: who decides, when, and on what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from salus_core.actions import ActionSpec
from salus_core.failures import Taxonomy
from salus_core.prevention.supervisor import ActingSupervisor
from salus_core.prevention.table import Entry, Table
from salus_core.prevention.triggers import FixedTrigger, Rule, Trigger
from salus_studies.prevention_study.episode_log import EpisodeLog
from salus_studies.prevention_study.rig import StudyError, first_change

RULES, ALARM, ALWAYS, ORACLE, PLACEBO = "rules", "alarm", "always", "oracle", "placebo"
TRIGGERS = (RULES, ALARM, ALWAYS, ORACLE, PLACEBO)


@dataclass(frozen=True)
class Arm:
    """One way to act.

    Attributes:
        name: of the arm.
        table: of interventions: a file, or the name of one that ships.
        trigger: 'rules' (the table's), 'alarm' (its manoeuvres, once the conformal alarm is given),
            'always' (from the first step on), 'oracle' (the type by which the episode fails without
            interventions, from the first step on), 'placebo' (triggers of other episodes).
        of: a placebo: the arm whose triggers are dealt.
        draw: a placebo: number of the permutation.
    """

    name: str
    table: str
    trigger: str = RULES
    of: str = ""
    draw: int = 0

    def __post_init__(self) -> None:
        """Check the trigger.

        Raises:
            StudyError: there is none of the name.
        """
        if self.trigger not in TRIGGERS:
            raise StudyError(f"arm '{self.name}': trigger must be one of {', '.join(TRIGGERS)}")

    def supervisor(
        self,
        table: Table,
        spec: ActionSpec,
        taxonomy: Taxonomy,
        period: float,
        base: EpisodeLog,
        dealt: Mapping[int, Mapping[str, int]],
    ) -> ActingSupervisor:
        """The supervisor for one episode.

        Args:
            table: the loaded table.
            spec: of the actions.
            taxonomy: of the forecasts.
            period: control period [s].
            base: the episode without interventions: an oracle reads its outcome, no other arm does.
            dealt: a placebo's triggers by seed.
        """
        trigger: Trigger | None = None
        if self.trigger == ALARM:
            rules = {
                name: Entry(Rule(on_alarm=True), entry.manoeuvres)
                for name, entry in table.rules.items()
            }
            table = replace(table, rules=rules)
        elif self.trigger == ALWAYS:
            trigger = FixedTrigger(dict.fromkeys(table.rules, 0))
        elif self.trigger == ORACLE:
            trigger = FixedTrigger({base.outcome: 0} if base.failed else {})
        elif self.trigger == PLACEBO:
            trigger = FixedTrigger(dealt.get(base.seed, {}))
        return ActingSupervisor(spec, table, taxonomy, period, trigger=trigger)


def deal(
    triggers: Mapping[int, Mapping[str, int]],
    bases: Sequence[EpisodeLog],
    table: Table,
    spec: ActionSpec,
    taxonomy: Taxonomy,
    period: float,
    draw: int,
) -> dict[int, dict[str, int]]:
    """Give the triggers of episodes in which an arm acted to other episodes, chosen at random.

    Each goes to an episode in which it leads to an intervention, so that as many episodes are
    intervened in: only when and where differ.

    Args:
        triggers: of the episodes in which the arm acted, by seed.
        bases: all episodes without interventions.
        table: of the arm.
        spec: of the actions.
        taxonomy: of the forecasts.
        period: control period [s].
        draw: number of the permutation.

    Returns:
        Triggers by seed.
    """
    rng = np.random.default_rng([draw, 5])
    order = [int(i) for i in rng.permutation(len(bases))]
    found: dict[int, dict[str, int]] = {}
    for seed in rng.permutation(np.array(list(triggers), np.int64)).tolist():
        steps = dict(triggers[seed])
        supervisor = ActingSupervisor(spec, table, taxonomy, period, trigger=FixedTrigger(steps))
        for index in order:
            base = bases[index]
            if base.seed != seed and first_change(base, supervisor) >= 0:
                found[base.seed] = steps
                order.remove(index)
                break
    return found
