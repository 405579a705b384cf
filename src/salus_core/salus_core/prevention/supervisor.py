# SPDX-License-Identifier: Apache-2.0
"""The supervisor that acts on forecasts: the same object in the episode loop and in the node."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from salus_core.actions import ActionKind, ActionSpec
from salus_core.failures import Taxonomy
from salus_core.prevention.manoeuvres import BUILT_IN, known_manoeuvres, make_manoeuvre
from salus_core.prevention.manoeuvres.base import CLOSED, Manoeuvre, ManoeuvreError, Situation
from salus_core.prevention.scene import SceneMemory
from salus_core.prevention.table import Table, TableError
from salus_core.prevention.triggers import ForecastTrigger, Trigger
from salus_core.rotations import yaw_of
from salus_core.runtime.types import Monitored, Observation
from salus_core.supervision import Decision, LimitCheck, Limits

_MOTIONS = (ActionKind.TOOL_TRANSLATION, ActionKind.TOOL_ROTATION, ActionKind.JOINT_DELTA)


class ActingSupervisor:
    """Replaces proposed actions by manoeuvres while a table says so, limits last.

    Args:
        spec: what the action's numbers mean.
        table: of interventions.
        taxonomy: of the forecasts.
        control_period: time between two steps [s].
        check: last look at what is executed, whoever decided on it; whoever gives it resets it,
            and it knows what is held already. None: one with default limits.
        trigger: says which failures are to be acted on; None: the table's rules.
        acts: False: decides and says what it would do, and changes nothing.

    Raises:
        TableError: a manoeuvre or a type of failure is not known, or the robot's actions do not
            allow a manoeuvre.
    """

    def __init__(
        self,
        spec: ActionSpec,
        table: Table,
        taxonomy: Taxonomy,
        control_period: float,
        check: LimitCheck | None = None,
        trigger: Trigger | None = None,
        acts: bool = True,
    ):
        self.table = table
        # As signal_info carries it, so that a graph decides the same to the last bit.
        spec = replace(spec, scale=tuple(float(np.float32(scale)) for scale in spec.scale))
        self._owns_check = check is None
        self._check = check or LimitCheck(spec, Limits())
        self._spec, self._period, self._acts = spec, control_period, acts
        try:
            self.trigger = trigger or ForecastTrigger(taxonomy, table.triggers)
            self._manoeuvres = _make(spec, table)
        except ValueError as error:
            raise TableError(f"the table of interventions cannot be used: {error}") from error
        gripper = spec.indices(ActionKind.GRIPPER)
        self._gripper = gripper[0] if len(gripper) == 1 else None
        moving = [i for i, kind in enumerate(spec.kinds) if kind in _MOTIONS] if spec.scale else []
        self._moving = np.array(moving, int)
        self._largest = np.array([spec.scale[i] for i in moving])
        self._scene = SceneMemory()
        self.reset()

    def reset(self) -> None:
        """See Supervisor."""
        if self._owns_check:
            self._check.reset()
        self._scene.reset()
        self.trigger.reset()
        for manoeuvre in self._manoeuvres.values():
            manoeuvre.reset()
        self.warned: frozenset[str] = frozenset()
        """Types of failure that are to be acted on, as of the last step."""
        held = self._check.hold("").action
        self._opening = held[self._gripper] if held and self._gripper is not None else 1.0
        self._closed_for = 0
        self.tries = self.steps = 0
        self._acting = False
        self._ended = -np.inf  # the last step with a changed action

    def answer_help(self) -> None:
        """An operator has answered: what asked for help lets the policy go on."""
        for manoeuvre in self._manoeuvres.values():
            answered = getattr(manoeuvre, "answer", None)
            if answered is not None:
                answered()

    def decide(self, observation: Observation, monitored: Monitored) -> Decision:
        """See Supervisor."""
        proposed = np.asarray(monitored.proposal.action, np.float64)
        objection = self._check.objection(proposed)
        if objection:
            # Whoever proposes this is broken: no manoeuvre makes something of it.
            return self._check.hold(objection)
        changed, names, reason = self._consider(observation, monitored, proposed)
        if names and self._acts:
            decision = self._bounded(changed, names, reason)
        else:
            decision = self._check.check(proposed)
            decision = replace(decision, manoeuvre=names[-1]) if names else decision
        self._follow(decision)
        return decision

    def _consider(
        self, observation: Observation, monitored: Monitored, proposed: np.ndarray
    ) -> tuple[np.ndarray, list[str], str]:
        """The action to execute, who changed it, and why."""
        situation = self._situation(observation, monitored)
        self.warned = situation.warned
        changed, names = proposed, []
        for name, manoeuvre in self._manoeuvres.items():
            found = manoeuvre.act(situation, changed, self._wanted(name, situation.warned))
            if found is None:
                continue
            changed = found
            names.append(name)
            if manoeuvre.exclusive:
                break
        # Who waits for an operator waits as long as it takes.
        waits = bool(names) and self._manoeuvres[names[-1]].kind == "ask_for_help"
        if names and not waits and not self._allowed(observation.step):
            return proposed, [], ""
        warned = ", ".join(sorted(situation.warned)) or "an intervention before"
        return changed, names, f"{' and '.join(names)}: {warned}" if names else ""

    def _situation(self, observation: Observation, monitored: Monitored) -> Situation:
        tool = observation.tool_position
        place = np.full(3, np.nan) if tool is None else np.asarray(tool, np.float64)
        self._scene.update(monitored.scene, place)
        quaternion = observation.tool_quaternion
        return Situation(
            step=observation.step,
            proposal=monitored.proposal,
            forecast=monitored.forecast,
            tool=place,
            yaw=0.0 if quaternion is None else yaw_of(quaternion),
            width=np.nan if observation.gripper_width is None else observation.gripper_width,
            scene=self._scene,
            opening=self._opening,
            closed_for=self._closed_for,
            warned=self.trigger.update(observation.step, monitored.forecast),
            risk_of=monitored.risk_of,
        )

    def _wanted(self, name: str, warned: frozenset[str]) -> bool:
        if any(
            name in self.table.rules[kind].manoeuvres for kind in warned & self.table.rules.keys()
        ):
            return True
        return any(
            name in following and getattr(self._manoeuvres.get(before), "succeeded", False)
            for before, following in self.table.after.items()
        )

    def _allowed(self, step: int) -> bool:
        """Whether an intervention may begin or go on, and counts it."""
        bounds = self.table.bounds
        if (self.steps + 1) * self._period > bounds.budget:
            return False
        if not self._acting:
            since = (step - self._ended) * self._period
            if self.tries >= bounds.tries or since <= bounds.cool_down:
                return False
            self.tries += 1
        self.steps += 1
        self._ended = step
        return True

    def _bounded(self, changed: np.ndarray, names: list[str], reason: str) -> Decision:
        """Within the limits, and then within what the policy itself does at most."""
        # The last one of several decides what kind of intervention it is: it may have ended them.
        kind = self._manoeuvres[names[-1]].kind
        if not changed.size:
            return replace(self._check.hold(reason), kind=kind, manoeuvre=names[-1])
        objection = self._check.objection(changed)
        if objection:
            said = f"{' and '.join(names)}: {objection}"
            return replace(self._check.hold(said), manoeuvre=names[-1])
        action = np.array(changed, np.float64)
        action[self._moving] = np.clip(action[self._moving], -self._largest, self._largest)
        decision = self._check.check(action)
        return replace(decision, reason=reason, kind=kind, manoeuvre=names[-1])

    def _follow(self, decision: Decision) -> None:
        self._acting = bool(decision.manoeuvre)
        if self._gripper is not None and decision.action:
            self._opening = decision.action[self._gripper]
            self._closed_for = self._closed_for + 1 if self._opening < CLOSED else 0


def _make(spec: ActionSpec, table: Table) -> dict[str, Manoeuvre]:
    """The table's manoeuvres in the order in which they are asked."""
    known = known_manoeuvres()
    for name in (*table.manoeuvres, *table.settings, *table.after):
        if name not in known:
            raise ManoeuvreError(f"manoeuvre '{name}' is not known: use {', '.join(known)}")
    order = [*BUILT_IN, *(name for name in known if name not in BUILT_IN)]
    return {
        name: make_manoeuvre(name, spec, table.settings.get(name, {}))
        for name in order
        if name in table.manoeuvres
    }
