# SPDX-License-Identifier: Apache-2.0
"""Supervisor node: turns each proposed action into the one command of its step."""

import sys
import time
from array import array
from typing import Any

from rclpy.clock import Clock, ClockType
from salus_msgs.msg import (
    ActionCommand,
    EpisodeSetup,
    EpisodeStatus,
    FailureForecast,
    ForecastInfo,
    Intervention,
    SignalInfo,
    VlaSignals,
)
from std_msgs.msg import Header

from salus_core.actions import MAX_ACTIONS, ActionError, ActionKind, ActionSpec
from salus_core.episode_store import INTERVENTION_NAMES
from salus_core.messages import nanoseconds
from salus_core.prevention.table import Table, TableError
from salus_core.supervision import (
    OTHER_CLOCK,
    WATCHDOG,
    Decision,
    LimitCheck,
    Moment,
    Order,
    RateLimit,
    Standstill,
    stale,
)
from salus_ros import qos
from salus_ros.diagnostics import ERROR, WARN
from salus_ros.managed_node import ConfigureError, ManagedNode, run, when_active
from salus_ros.qos import LATCHED, RELIABLE
from salus_supervisor.acting import Acting
from salus_supervisor.episodes import PAST, RUNS, WAITS, Episodes
from salus_supervisor.forecast_watch import LEAST_SAID, ForecastWatch
from salus_supervisor.help import Help
from salus_supervisor.joints import MeasuredJoints
from salus_supervisor.parameters import SupervisorParameters
from salus_supervisor.step_inputs import StepInputs

LOCKSTEP_TICK = 0.05
"""The same in lockstep, where nothing is due."""
TICK = 0.005
"""Time between two looks at what is missing, out of lockstep [s]."""

LOCKSTEP_WAIT = 5.0
"""In lockstep the rest of a step is waited for so long [s]."""

LOCKSTEP_PATIENCE = 2.0
"""In lockstep the world waits, so a missing proposal is told, not acted on, after this time [s]."""

CLOCK_PATIENCE = 1.0
"""A simulation's clock may be slow, but one that stops must not keep the robot moving: without a
proposal for so long by the machine's clock the robot is held, too [s]."""


class SupervisorNode(ManagedNode):
    """Sends one ActionCommand and one Intervention for each step of the running episode.

    Signals can come before signal_info, which says what their numbers are, or before the status of
    their episode: those wait (one of them is enough, as the policy waits for the command). What
    belongs to a past step or episode is ignored with a warning. An action that is not as long as
    signal_info says, not finite or beyond the limits is not executed: the robot is held, or, where
    nobody knows where, nothing is sent.

    Out of lockstep time matters: proposals that are old, from the future or repeated are refused,
    at most one command is sent in a control period, and where no fresh proposal comes in time the
    robot is held until one does. In lockstep the world waits for the command of its step, so
    nothing gets old.
    """

    parameters_type = SupervisorParameters

    def __init__(self, **kwargs: Any):
        self._check: LimitCheck | None = None
        self._acting: Acting | None = None
        self._watch = ForecastWatch()
        super().__init__("supervisor", **kwargs)
        self._forget()

    def _forget(self) -> None:
        self._episodes = Episodes(self._say)
        self._order = Order(self._say)
        self._rate = RateLimit()
        self._standstill = Standstill()
        self._announced = False
        self._lockstep = False
        self._announced_pace = False  # an episode_setup said whether the world waits
        self._waiting: VlaSignals | None = None  # for signal_info, a status or, then, a forecast
        self._next: VlaSignals | None = None  # came too soon after the last command
        self._last: VlaSignals | None = None  # the last one that was answered
        self._fresh_at: float | None = None  # when proposals came last; None: none are due
        self._heard_at = 0.0  # the same, by the machine's clock
        self._held_since: float | None = None
        self._refusal = ""
        self._watch.forget()
        if self._check is not None:
            self._check.reset()
        if self._acting is not None:
            self._acting.clear()

    def configure(self) -> None:
        """Connect.

        Raises:
            ConfigureError: nobody chose what happens without a forecast.
        """
        if self.parameters.intervenes and not self.parameters.without_forecast:
            raise ConfigureError(
                "parameter 'mode' is 'intervene': choose with parameter 'without_forecast' what "
                "happens while no fresh forecast comes, 'hold' or 'go_on'"
            )
        self._check = None
        self._period = 0.0
        self._acting = self._open_table()
        self._help = Help(self, self._resume)
        self._joints = MeasuredJoints(self, self._ignore)
        # Out of lockstep a command that got lost must not come late.
        expire = self.parameters.commands_expire or self.parameters.episode_source == "signals"
        profile = qos.EXPIRING if expire else RELIABLE
        self._commands = self.create_lifecycle_publisher(ActionCommand, "command", profile)
        self._interventions = self.create_lifecycle_publisher(
            Intervention, "intervention", RELIABLE
        )
        subscribe = self.create_subscription
        subscribe(SignalInfo, "signal_info", self._on_info, LATCHED)
        subscribe(VlaSignals, "vla_signals", self._on_signals, qos.NEWEST)
        if self.parameters.episode_source == "topic":
            subscribe(EpisodeStatus, "episode", self._on_episode, LATCHED)
            subscribe(EpisodeSetup, "episode_setup", self._on_setup, LATCHED)
        subscribe(FailureForecast, "failure_forecast", self._on_forecast, RELIABLE)
        if self._acting is not None:
            subscribe(ForecastInfo, "forecast_info", self._on_forecast_info, LATCHED)
        # By the machine's clock: that of a simulation may stand still.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._ticker = self.create_timer(TICK, self._on_tick, clock=steady)

    def _open_table(self) -> Acting | None:
        given = self.parameters
        if not given.interventions:
            return None
        joints = [joint for joint in given.gripper_joints if joint]
        try:
            table = Table.load(given.interventions)
            inputs = StepInputs(
                self, joints, given.stamp_tolerance, given.body_reliability, self._say
            )
            return Acting(table, given.intervenes, inputs)
        except TableError as error:
            raise ConfigureError(f"parameter 'interventions': {error}") from error

    def _resume(self) -> None:
        if self._acting is not None:
            self._acting.answer_help()

    def _on_forecast_info(self, info: ForecastInfo) -> None:
        self._acting.predictor(info)
        self.diagnostics.problem(self._acting.problem, "interventions")

    def deactivate(self) -> None:
        """Hold the robot if it was being moved, and forget the episode."""
        if self._fresh_at is not None and not self._lockstep and self.context.ok():
            self._hold("the supervisor stops")
        self._forget()

    def _on_info(self, info: SignalInfo) -> None:
        # Not gated: it is latched, and a node that is activated later must know it.
        try:
            spec = ActionSpec.of(
                info.action_names, info.action_units, info.action_kinds, info.action_scale
            )
        except ActionError as error:
            self._check = None
            self._tell(f"signal_info: {error}; nothing is executed")
            return
        if self._check is None or self._check.spec != spec:
            self._check = LimitCheck(spec, self.parameters.limits())
            self._joints.follow([spec.names[i] for i in spec.indices(ActionKind.JOINT_POSITION)])
        period = self.parameters.control_period or info.control_period
        self._period = period if 0.0 < period <= 10.0 else 0.0
        self._announced = True
        self.diagnostics.problem("")
        if self._acting is not None:
            self._acting.robot(info, spec, self._period, self._check)
            self.diagnostics.problem(self._acting.problem, "interventions")
        self._go_on()

    @when_active
    def _on_setup(self, setup: EpisodeSetup) -> None:
        self._announced_pace = True
        self._set_lockstep(setup.lockstep)

    def _set_lockstep(self, lockstep: bool) -> None:
        if lockstep != self._lockstep:
            self._stand_down()
            self._lockstep = lockstep
            # Nothing is due in lockstep but a word on what stays away.
            self._ticker.timer_period_ns = round(1e9 * (LOCKSTEP_TICK if lockstep else TICK))

    def _guess_lockstep(self, signals: VlaSignals) -> None:
        """A world that judges its episodes, but neither says its pace nor shares its clock."""
        stamp, now = nanoseconds(signals.header.stamp), self.get_clock().now().nanoseconds
        if stamp == 0:
            return  # says nothing
        self._set_lockstep(abs(now - stamp) > OTHER_CLOCK)
        self.diagnostics.problem(
            "stamps are of another clock than this node's, and no episode_setup says whether the "
            "world waits: it is taken to wait (lockstep), so nothing is checked for its age"
            if self._lockstep
            else "",
            "clock",
            WARN,
        )

    @when_active
    def _on_episode(self, status: EpisodeStatus) -> None:
        if self._episodes.status(status):
            self._begin()
        if self._episodes.current.ended:
            self._stand_down()
        self._go_on()

    def _begin(self) -> None:
        """Nothing of an episode before has been answered or commanded in this one."""
        if self._lockstep:
            self._order.reset()  # a world's stamps may begin anew
            self._watch.begin(time.monotonic())
        if self._check is not None:
            self._check.reset()
        if self._acting is not None:
            self._acting.reset()
        self._help.reset()

    def _stand_down(self) -> None:
        """No proposals are due."""
        self._fresh_at = self._held_since = self._next = None
        self._refusal = ""
        for source in ("proposals", "forecasts"):
            self.diagnostics.problem("", source)

    def _go_on(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._consider(waiting)

    @when_active
    def _on_forecast(self, forecast: FailureForecast) -> None:
        age = self.parameters.max_forecast_age * self._period
        problem = self._watch.take(
            forecast, self._time(), self._now(), age, self._period, self._doubt()
        )
        self.diagnostics.set("alarm", forecast.alarm and not problem)
        if problem:
            self._ignore(f"a forecast of step {forecast.step}: {problem}")
            self.diagnostics.set("late forecasts", self._watch.late)
        elif self._next is not None and (
            self._lockstep or (self._acting and self._rate.ready(self._time(), self._period))
        ):
            self._answer(self._next)

    @when_active
    def _on_signals(self, signals: VlaSignals) -> None:
        if self._check is None:
            self._waiting = signals
            self._tell(
                "vla_signals came before signal_info, which says what its numbers are: "
                "nothing is executed until that comes"
            )
            return
        if self.parameters.episode_source == "topic" and not self._announced_pace:
            self._guess_lockstep(signals)
        self._beat()
        problem = self._stale(signals)
        if problem:
            wrong = self._check.wrong_length(signals.action)
            self._refuse(f"signals of step {signals.step}: {wrong and wrong + '; '}{problem}")
        else:
            self._consider(signals)

    def _doubt(self) -> str:
        """Why the node's clock, and so what arrives, cannot be trusted; empty: it can."""
        if self._lockstep or not self.get_clock().ros_time_is_active:
            return ""
        return self._standstill.reason(time.monotonic())

    def _stale(self, signals: VlaSignals) -> str:
        now = self._now()
        if now is None:
            return ""
        if not self._period:
            return (
                "signal_info gives no control_period, so nobody knows what is too old: give it "
                "there, or set the parameter control_period"
            )
        stamp, age = nanoseconds(signals.header.stamp), self.parameters.max_proposal_age
        return self._doubt() or stale(stamp, now, age * self._period, self._period)

    def _consider(self, signals: VlaSignals) -> None:
        """Answer fresh signals, unless they are not in order or must wait."""
        if self.parameters.episode_source == "topic":
            fits = self._episodes.fits(signals, self._last)
            if fits == WAITS:
                self._waiting = signals
            elif fits == PAST:
                current = self._episodes.current.number
                self._ignore(f"signals of episode {signals.episode}: {current} is current")
            if fits != RUNS:
                return
        moment = Moment(signals.episode, signals.step, nanoseconds(signals.header.stamp))
        before = self._order.last
        refusal = self._order.refusal(
            moment, self._now(), signals.step == 0 or self._announced, self._lockstep
        )
        if refusal:
            if moment != before:
                self._refuse(f"signals of {refusal}")
            return
        self._announced = False
        if self._fresh_at is None:
            self._watch.begin(self._time())
        self._fresh_at, self._heard_at = self._time(), time.monotonic()
        anew = before is not None and moment.episode != before.episode
        if self.parameters.episode_source == "signals" and anew:
            self._begin_anew()
        if self._acting is not None:
            wait = LOCKSTEP_WAIT if self._lockstep else self.parameters.input_wait
            current = self._episodes.current
            number = signals.episode if current is None else current.position
            self._acting.follow(signals, number, wait)
        if self._lockstep or self._rate.ready(self._fresh_at, self._period):
            self._answer(signals)
        else:
            self._next = signals

    def _answer(self, signals: VlaSignals) -> None:
        """Send the command of a proposal."""
        started = time.monotonic()
        self._next = None
        reason = lost = ""
        acting = self._acting if self._acting and self._acting.ready else None
        if self.parameters.intervenes:
            lost = self._forecast_lost()
            if lost and self.parameters.holds_without_forecast:
                reason = f"{WATCHDOG}: {lost}"
        if (self.parameters.intervenes or acting) and not lost and self._must_wait(signals, acting):
            self._next = signals  # answered when the rest of its step has come
            return
        if self.parameters.intervenes and not acting and not reason:
            # Who was told to intervene and cannot holds.
            reason = self._acting.problem if self._acting else "" if lost else self._watch.alarm()
        self._check.limits = self.parameters.limits()
        self._check.measured(self._measured())
        reason = reason or self._help.given_up
        if reason:
            decision = self._check.hold(reason)
        elif acting is not None:
            decision = self._act(acting, signals, lost)
        else:
            decision = self._check.check(signals.action)
        wrong = self._check.wrong_length(signals.action)
        since, self._last = self._held_since, signals
        self._held_since = (since or self._time()) if lost and reason else None
        said = ""
        if since is not None and self._held_since is None:
            said = f"proposals are fresh again after {self._time() - since:.2f} s"
            self.get_logger().info(said)
        self._refusal = ""
        self.diagnostics.problem("", "proposals")
        reason = self._send(signals.header, decision, said, signals)
        self.diagnostics.problem(reason if wrong or not decision.action else "")
        if reason:
            does = decision.manoeuvre or "holding"
            self.get_logger().warning(
                f"{does} at step {signals.step}: {reason}", throttle_duration_sec=1.0
            )
        self.diagnostics.count(time.monotonic() - started)

    def _must_wait(self, signals: VlaSignals, acting: Acting | None) -> bool:
        """Whether more of a step is to come before it is decided on."""
        if self._lockstep:
            expected = self.parameters.intervenes or self._watch.expected
            if expected and not self._watch.of(signals.episode, signals.step):
                return True
        if acting is None:
            return False
        if acting.waits_for_inputs(signals):
            return True
        waited = time.monotonic() - self._heard_at
        late = waited >= self.parameters.input_wait
        return not (
            self._lockstep
            or late
            or not self._watch.expected
            or self._watch.of(signals.episode, signals.step)
        )

    def _act(self, acting: Acting, signals: VlaSignals, lost: str) -> Decision:
        """The decision by the table of interventions."""
        decision = acting.decide(signals, None if lost else self._watch.newest)
        problem = acting.unusable
        said = "; ".join(filter(None, (problem, acting.not_offered)))
        self.diagnostics.problem(said, "inputs of interventions", WARN)
        if problem and not decision.reason and self.parameters.intervenes:
            # What should act has nothing to go by: better still than on.
            if acting.warned:
                warned = ", ".join(sorted(acting.warned))
                return self._check.hold(f"{warned} is forecast, but {problem}")
            if acting.no_forecast and self.parameters.holds_without_forecast:
                return self._check.hold(f"{WATCHDOG}: {problem}")
        if decision.intervention == "ask_for_help":
            self._help.ask(signals.header, signals.episode, signals.step, decision.reason)
        return decision

    def _begin_anew(self) -> None:
        """A robot whose episodes nobody judges begins another one."""
        self._check.forget_joints()
        if self._acting is not None:
            self._acting.reset()
        self._help.reset()

    def _send(
        self, header: Header, decision: Decision, said: str, proposal: VlaSignals | None = None
    ) -> str:
        """Send a decision: the command, and what it is about; returns the reason of a hold."""
        of = proposal or self._last
        moment = {"header": header, "episode": of.episode, "step": of.step}
        reason, executed = decision.reason, array("d", decision.action)
        if self._help.taken_over:
            executed = array("d")  # an operator moves the robot
        elif decision.action:
            self._commands.publish(ActionCommand(**moment, action=executed))
            self._rate.sent(self._time())
        else:
            unknown = ", ".join(self._check.unknown())
            reason += f"; nothing is sent, as it is not known where to hold {unknown}"
        # What is longer than any message may be cannot be sent on; the reason gives its length.
        fits = proposal is not None and len(proposal.action) <= MAX_ACTIONS
        self._interventions.publish(
            Intervention(
                **moment,
                kind=INTERVENTION_NAMES.index(decision.intervention),
                manoeuvre=decision.manoeuvre,
                reason=reason or said,
                proposed=proposal.action if fits else array("d"),
                executed=executed,
            )
        )
        return reason

    def _hold(self, reason: str) -> None:
        """Hold the robot though nobody proposed anything; said once, repeated as commands."""
        if self._check is None or self._last is None:
            return
        self._check.measured(self._measured())
        decision = self._check.hold(f"{WATCHDOG}: {reason}")
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=self._last.header.frame_id)
        if self._held_since is None:
            self._held_since = self._time()
            said = self._send(header, decision, "")
            self.get_logger().error(f"holding the robot: {said}")
        elif decision.action and not self._help.taken_over:
            moment = {"header": header, "episode": self._last.episode, "step": self._last.step}
            self._commands.publish(ActionCommand(**moment, action=array("d", decision.action)))
            self._rate.sent(self._time())

    @when_active
    def _on_tick(self) -> None:
        """Send what waited for its control period; hold the robot where nothing fresh comes."""
        self._beat()
        if self._fresh_at is None:
            return
        now = self._time()
        silent = now - self._fresh_at
        if self._lockstep:
            late = ""
            if silent > LOCKSTEP_PATIENCE:
                late = f"no proposal for {silent:.1f} s{self._why()}; the world waits (lockstep)"
            self.diagnostics.problem(late, "proposals")
            if self._next is not None:
                self._answer(self._next)
            return
        due = self._rate.ready(now, self._period)
        if self._next is not None and due:
            signals, self._next = self._next, None
            problem = self._stale(signals)
            if problem:
                self._refuse(f"signals of step {signals.step}: {problem}")
            else:
                self._answer(signals)
            return
        self._tell_forecasts(now)
        unheard = time.monotonic() - self._heard_at
        patience = self._period + self.parameters.proposal_slack
        stopped = silent <= patience < CLOCK_PATIENCE < unheard
        if silent > patience or stopped:
            clock = ", and the clock of the simulation stands still" if stopped else ""
            lasted = unheard if stopped else silent
            reason = f"no fresh proposal for {lasted:.3f} s{clock}{self._why()}"
            self.diagnostics.problem(f"holding the robot: {reason}", "proposals")
            if due or self._held_since is None:
                self._hold(reason)
        elif self.parameters.holds_without_forecast and self._held_since is None:
            lost = self._forecast_lost()
            if lost:
                self._hold(lost)

    def _beat(self) -> None:
        """Hold a robot that was being moved as this process stood still, and say so."""
        lasted = self._standstill.beat(time.monotonic())
        if lasted and self._fresh_at is not None and not self._lockstep:
            self._hold(f"no fresh proposal for {lasted:.3f} s: this process stood still")

    def _why(self) -> str:
        if not self.count_publishers("vla_signals"):
            return " (vla_signals has no publisher: its node is gone)"
        return f" (the last one is refused: {self._refusal})" if self._refusal else ""

    def _tell_forecasts(self, now: float) -> None:
        """Say that forecasts are missing, and that they come again."""
        given = self.parameters
        patience = self._forecast_patience()
        if not given.intervenes:
            patience = max(patience, LEAST_SAID)
        lost = ""
        if given.intervenes or self._watch.expected:
            lost = self._watch.missing(now, patience)
        does = "the robot is held" if given.holds_without_forecast else "the policy goes on"
        said = f"{lost}: {does}" if lost else ""
        level = ERROR if given.holds_without_forecast else WARN
        self.diagnostics.problem(said, "forecasts", level)
        if self._watch.changed(bool(lost)):
            self.get_logger().warning(said or "forecasts are fresh again")

    def _forecast_patience(self) -> float:
        if self._lockstep:
            return LOCKSTEP_PATIENCE
        return self._period + self.parameters.forecast_slack

    def _forecast_lost(self) -> str:
        return self._watch.missing(self._time(), self._forecast_patience())

    def _now(self) -> int | None:
        """By the clock that stamps are of [ns]; None: in lockstep nothing gets old."""
        return None if self._lockstep else self.get_clock().now().nanoseconds

    def _measured(self) -> list[float | None]:
        return self._joints.positions(self._check.spec.names, self.parameters.max_joint_age)

    def _time(self) -> float:
        """By which gaps are measured [s]: a simulation may be slower than the machine's clock."""
        if not self._lockstep and self.get_clock().ros_time_is_active:
            return self.get_clock().now().nanoseconds * 1e-9
        return time.monotonic()

    def _say(self, sentence: str) -> None:
        self.get_logger().warning(sentence, throttle_duration_sec=1.0)

    def _tell(self, problem: str) -> None:
        self.diagnostics.problem(problem)
        self.get_logger().error(problem, throttle_duration_sec=5.0)

    def _refuse(self, what: str) -> None:
        self._refusal = what
        if self._fresh_at is None and not self._lockstep:
            self.diagnostics.problem(f"nothing is executed: {what}", "proposals")
        self._ignore(what)

    def _ignore(self, what: str) -> None:
        self.diagnostics.drop()
        self.get_logger().warning(f"ignoring {what}", throttle_duration_sec=1.0)


def main(args: list[str] | None = None) -> int:
    """Run the supervisor."""
    return run(SupervisorNode, args)


if __name__ == "__main__":
    sys.exit(main())
