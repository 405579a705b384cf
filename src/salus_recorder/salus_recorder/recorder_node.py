# SPDX-License-Identifier: Apache-2.0
"""The recorder: everything that belongs to a step, into Zarr episodes."""

import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped
from rclpy.clock import Clock, ClockType
from rclpy.qos import QoSProfile
from salus_msgs.msg import (
    ActionCommand,
    EpisodeSetup,
    EpisodeStatus,
    FailureForecast,
    ForecastInfo,
    Intervention,
    RecorderStatus,
    SignalInfo,
    Step,
    VlaSignals,
    WorldState,
)
from sensor_msgs.msg import CompressedImage, Image, JointState

from salus_core.episode_store import (
    Camera,
    NotARunError,
    SchemaError,
    StoreWriteError,
    recover_root,
)
from salus_core.failures import Taxonomy, TaxonomyError
from salus_core.messages import (
    JOINT_STATES,
    TOOL_POSE,
    ImageError,
    Input,
    InvalidInputError,
    JointInput,
    PoseInput,
    fitted,
    nanoseconds,
    require_finite,
)
from salus_core.supervision import WATCHDOG
from salus_recorder.assembler import EpisodeAssembler, StepMessages
from salus_recorder.parameters import RecorderParameters
from salus_recorder.publisher_check import PublisherCheck
from salus_recorder.recording import Committed, Recording
from salus_recorder.rows import IMAGE, make_end, make_schema, make_start, taxonomy_of
from salus_recorder.services import PauseServices
from salus_ros import qos
from salus_ros.camera_topics import camera_topics, image_type
from salus_ros.managed_node import ConfigureError, ManagedNode, run, when_active

MAX_REASON = 1000
"""Characters of a reason that are kept."""

OPTIONAL = ("failure_forecast", "intervention")
KEPT_EPISODES = 16
"""Episodes whose setup and status are kept."""
FLUSH_TIME = 5.0
"""An episode that has ended waits so long for room as the recorder stops [s]."""
TICK_PERIOD = 0.05


class RecorderNode(ManagedNode):
    """Records what comes while it is active; see RecorderParameters and docs/layout.md."""

    parameters_type = RecorderParameters
    parameters: RecorderParameters

    def __init__(self) -> None:
        super().__init__("recorder")
        self._recording: Recording | None = None
        self._error = ""

    # Life ---------------------------------------------------------------------------------------

    def configure(self) -> None:
        """Clean up what died here before; subscribe; check that the folder can be written."""
        p = self.parameters
        self._root = Path(p.output).expanduser().absolute()
        self._prepare_output()
        self._cameras = [
            Camera(name, p.image_height, p.image_width)
            for name in (filter(None, p.cameras) if p.record_images else [])
        ]
        try:
            names = [camera.name for camera in self._cameras]
            self._camera_topics = camera_topics(names, p.camera_topics, "the recorder")
        except ValueError as error:
            raise ConfigureError(str(error)) from error
        self._required = frozenset(
            {*p.required, *(IMAGE + camera.name for camera in self._cameras), "step"}
        )
        self._publisher_check = PublisherCheck(self, self._required)
        self._setups: dict[int, EpisodeSetup] = {}
        self._statuses: dict[int, EpisodeStatus] = {}
        self._signal_info: SignalInfo | None = None
        self._forecast_info: ForecastInfo | None = None
        self._commands_missed: dict[int, int] = {}
        self._reported: set[str] = set()
        self._reasons: set[str] = set()
        self._dropped = 0
        self._last = Committed(0, 0, 0)
        self._assembler = EpisodeAssembler(
            sink=self,
            required=self._required,
            inputs=self._inputs(),
            optional=OPTIONAL,
            max_step_lag=p.max_step_lag,
            grace=p.end_grace,
            capacity=max(p.queue_size, p.max_step_lag + 2),
            tolerance=p.stamp_tolerance,
            wait=p.input_wait,
            on_restart=self._say_restart,
        )
        self._taxonomy = self._load_taxonomy()
        self._status_publisher = self.create_publisher(
            RecorderStatus, "recorder_status", qos.LATCHED
        )
        self._subscribe()
        self._pause_services = PauseServices(self, self._assembler, self._publish_status)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(TICK_PERIOD, self._on_tick, clock=steady)

    def _inputs(self) -> list[Input]:
        """Topics whose messages are known by their stamps only."""
        names = tuple(filter(None, self.parameters.joint_names))
        body = [JointInput(names) if names else Input(JOINT_STATES), PoseInput()]
        images = [
            Input(IMAGE + camera.name, capacity=self.parameters.queue_size)
            for camera in self._cameras
        ]
        inputs = [*body, *images]
        for one in inputs:
            one.required = one.name in self._required
        return inputs

    def _load_taxonomy(self) -> Taxonomy | None:
        if not self.parameters.failure_types:
            return None
        try:
            return Taxonomy.load(self.parameters.failure_types)
        except TaxonomyError as error:
            raise ConfigureError(f"parameter 'failure_types': {error}") from error

    def activate(self) -> None:
        """Start the writing thread."""
        p = self.parameters
        self._recording = Recording(
            root=self._root,
            required=self._required,
            writer_options={
                "env": p.env,
                "compression_level": p.compression_level,
                "min_free_bytes": p.min_free_bytes,
                "fsync": p.fsync,
                "metadata": {"parameters": {**vars(p), "output": str(self._root)}},
            },
            on_commit=self._on_commit,
            on_row=self._on_row,
            on_problem=self._report_once,
            on_error=self._on_write_error,
        )
        self._publisher_check.begin(time.monotonic())
        self.diagnostics.set("output", self._root)

    def deactivate(self) -> None:
        """Discard the episode in progress, keep one that has ended, and close the run."""
        until = time.monotonic() + FLUSH_TIME
        while not self._assembler.end_known() and time.monotonic() < until:
            time.sleep(0.01)  # the thread that writes makes room
        self._assembler.clear("the recorder was deactivated")
        if self._recording is not None:
            self._recording.stop()
            self._recording = None

    def _prepare_output(self) -> None:
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._root) as probe:
                probe.write(b"x")
            for recovery in recover_root(self._root):
                self.get_logger().warning(str(recovery))
        except StoreWriteError as error:
            raise ConfigureError(str(error)) from error
        except NotARunError as error:
            raise ConfigureError(f"{error}; move that folder out of {self._root}") from error
        except OSError as error:
            failure = StoreWriteError(self._root, error)
            raise ConfigureError(f"parameter 'output': {failure}") from error

    def _subscribe(self) -> None:
        depth = self.parameters.queue_size
        reliable = _with_depth(qos.RELIABLE, depth)
        images = _with_depth(qos.image(self.parameters.image_reliability), depth)
        body = qos.body(self.parameters.body_reliability, depth)
        for kind, topic in ((JointState, JOINT_STATES), (PoseStamped, TOOL_POSE)):
            self._publisher_check.subscriptions[topic] = self.create_subscription(
                kind, topic, partial(self._on_body, topic), body
            )
        for kind, topic, callback in (
            (Step, "step", self._on_step),
            (WorldState, "world_state", self._on_world_state),
            (VlaSignals, "vla_signals", self._on_vla_signals),
            (ActionCommand, "command", self._on_command),
            (FailureForecast, "failure_forecast", self._on_forecast),
            (Intervention, "intervention", self._on_intervention),
        ):
            self._publisher_check.subscriptions[topic] = self.create_subscription(
                kind, topic, callback, reliable
            )
        for camera in self._cameras:
            self._publisher_check.subscriptions[IMAGE + camera.name] = self.create_subscription(
                image_type(self._camera_topics[camera.name]),
                self._camera_topics[camera.name],
                partial(self._on_image, camera),
                images,
            )
        # Deeper than what is latched: the end of an episode may be followed at once by the next's
        # beginning.
        latched = _with_depth(qos.LATCHED, 10)
        for kind, topic, callback in (
            (EpisodeSetup, "episode_setup", self._on_setup),
            (EpisodeStatus, "episode", self._on_status),
            (SignalInfo, "signal_info", self._on_signal_info),
            (ForecastInfo, "forecast_info", self._on_forecast_info),
        ):
            self.create_subscription(kind, topic, callback, latched)

    # Messages of a step -------------------------------------------------------------------------

    @when_active
    def _on_step(self, message: Step) -> None:
        if nanoseconds(message.header.stamp) == 0:
            self._report_once("step: the stamp is 0; the clock has not started")
            return
        self._assembler.add_step(message, time.monotonic())

    @when_active
    def _on_image(self, camera: Camera, message: Image | CompressedImage) -> None:
        topic, fit = IMAGE + camera.name, self.parameters.image_fit
        try:
            image = fitted(message, topic, (camera.height, camera.width), fit)
        except ImageError as error:
            self._report_once(
                f"{error}; see the recorder's parameters image_width, image_height and image_fit"
            )
            return
        self._assembler.add_stamped(topic, image, time.monotonic())

    @when_active
    def _on_body(self, topic: str, message: JointState | PoseStamped) -> None:
        self._assembler.add_stamped(topic, message, time.monotonic())

    @when_active
    def _on_world_state(self, message: WorldState) -> None:
        self._commands_missed[message.episode] = message.commands_missed
        self._assembler.add("world_state", message.episode, message.step, message)

    @when_active
    def _on_vla_signals(self, message: VlaSignals) -> None:
        self._assembler.add("vla_signals", message.episode, message.step, message)

    @when_active
    def _on_command(self, message: ActionCommand) -> None:
        try:
            require_finite("command", message.action)
        except InvalidInputError as error:
            self._report_once(str(error))
            return
        self._assembler.add("command", message.episode, message.step, message)

    @when_active
    def _on_forecast(self, message: FailureForecast) -> None:
        self._assembler.add("failure_forecast", message.episode, message.step, message)

    @when_active
    def _on_intervention(self, message: Intervention) -> None:
        if message.reason.startswith(WATCHDOG):
            # Between two steps: it belongs to no row, but to the episode.
            self._recording.note(f"after step {message.step}: {message.reason[:MAX_REASON]}")
            return
        self._assembler.add("intervention", message.episode, message.step, message)

    # Episodes -----------------------------------------------------------------------------------

    def _on_setup(self, message: EpisodeSetup) -> None:
        known = self._setups.get(message.episode)
        if known is not None and known.header.stamp == message.header.stamp:
            return
        if known is not None or message.episode <= self._assembler.finished:
            self.get_logger().warning(
                f"episode {message.episode} begins again: the world was started anew"
            )
            self._assembler.clear("the world was started anew")
            self._setups.clear()
            self._statuses.clear()
        self._setups[message.episode] = message
        while len(self._setups) > KEPT_EPISODES:
            del self._setups[min(self._setups)]

    def _on_status(self, message: EpisodeStatus) -> None:
        # Kept per episode: one that waits for what is missing must not cost the next its seed.
        self._statuses.setdefault(message.episode, message)
        while len(self._statuses) > KEPT_EPISODES:
            del self._statuses[next(iter(self._statuses))]
        if message.state != EpisodeStatus.STATE_RUNNING and self.is_active:
            self._assembler.add_end(message.episode, message, time.monotonic())

    def _on_signal_info(self, message: SignalInfo) -> None:
        known, self._signal_info = self._signal_info, message
        for name in ("policy_hash", "schema_hash") if known is not None else ():
            old, new = getattr(known, name), getattr(message, name)
            if old != new:
                self._assembler.give_up(
                    "vla_signals",
                    f"another policy took over ({name} {new[:12]}, before: {old[:12]})",
                )

    def _on_forecast_info(self, message: ForecastInfo) -> None:
        self._forecast_info = message

    @when_active
    def _on_tick(self) -> None:
        for topic in (*OPTIONAL, JOINT_STATES, TOOL_POSE):
            self._assembler.expect(topic, self._publisher_check.is_published(topic))
        self._assembler.tick(time.monotonic())
        self._tell_missing()
        self.diagnostics.set(
            "queue", f"{self._assembler.waiting} of {self._assembler.capacity} steps"
        )
        if self._assembler.refused > self._dropped:
            self.diagnostics.drop(self._assembler.refused - self._dropped)
            self._dropped = self._assembler.refused
            self._report_once(
                "messages are dropped, as too many steps wait: the disk or the processor does not "
                "keep up; lower compression_level or raise queue_size"
            )
        if self._publisher_check.became_complete(time.monotonic()):
            self._publish_status()

    def _tell_missing(self) -> None:
        """Say what steps lack, and why, once per reason; how often in diagnostics."""
        for name, counts in self._assembler.matching.counts.items():
            if counts.missing:
                total = counts.missing + counts.matched
                told = f"{counts.missing} of {total}: {counts.reason}"
                self.diagnostics.set(f"missing {name}", told)
                if counts.reason not in self._reasons:
                    self._reasons.add(counts.reason)
                    where = "" if counts.reason.startswith(name) else f"{name}: "
                    self._report_once(f"{where}{counts.reason}")

    def _say_restart(self, sentence: str) -> None:
        self.get_logger().warning(sentence, throttle_duration_sec=2.0)

    # What the assembler hands over --------------------------------------------------------------

    def begin(self, episode: int) -> bool:
        """Begin an episode in the store, once it is known what it consists of."""
        setup = self._setups.get(episode)
        if setup is None and "world_state" in self._required:
            return False
        if self._signal_info is None and "vla_signals" in self._required:
            return False
        status = self._statuses.get(episode)
        try:
            schema = make_schema(
                self._signal_info,
                setup,
                self._cameras,
                tuple(filter(None, self.parameters.joint_names)),
                self._taxonomy,
                self._forecast_info,
            )
        except (SchemaError, InvalidInputError, TaxonomyError) as error:
            self._report_once(str(error))
            return False
        self._recording.begin(schema, make_start(episode, setup, status))
        self._publish_status(RecorderStatus.STATE_RECORDING)
        return True

    def row(self, episode: int, row: StepMessages) -> bool:
        """Hand a step to the writing thread."""
        return self._recording.row(row)

    def end(self, episode: int, status: EpisodeStatus | None, length: int) -> None:
        """Commit an episode, or not if it was aborted and those are not wanted."""
        missed = self._commands_missed.get(episode, 0)
        self._commands_missed = {e: n for e, n in self._commands_missed.items() if e > episode}
        if status is None:
            self.get_logger().warning(
                f"the end of episode {episode} never came: aborted after {length} steps"
            )
        aborted = status is None or status.state == EpisodeStatus.STATE_ABORTED
        if aborted and not self.parameters.keep_aborted:
            self.discard(episode, "it was aborted (parameter keep_aborted)")
            return
        info, taxonomy = self._forecast_info, taxonomy_of(self._taxonomy, self._forecast_info)
        self._recording.end(lambda: make_end(status, length, missed, info, taxonomy))

    def discard(self, episode: int, reason: str) -> None:
        """Forget the episode in progress."""
        self.get_logger().warning(f"episode {episode} is discarded: {reason}")
        self._recording.discard(reason)
        self._publish_status()

    def report(self, message: str) -> None:
        """Tell people why an episode is not recorded."""
        self.get_logger().warning(message)

    # What the writing thread says ---------------------------------------------------------------

    def _on_commit(self, committed: Committed) -> None:
        self._last = committed
        if committed.gaps:
            missing = [f"{topic} in {steps}" for topic, steps in sorted(committed.missing.items())]
            self.get_logger().warning(
                f"episode {committed.number}: {committed.gaps} of {committed.steps} steps have "
                f"gaps; missing: {', '.join(missing) or 'everything'}"
            )
        self._publish_status(RecorderStatus.STATE_READY)

    def _on_row(self) -> None:
        self.diagnostics.count()

    def _on_write_error(self, message: str) -> None:
        self._error = message
        self._publish_status(RecorderStatus.STATE_ERROR)
        self.fatal(message)

    def _report_once(self, problem: str) -> None:
        """Log an error the first time it appears with these words; count it each time."""
        self.diagnostics.drop()
        if problem not in self._reported and len(self._reported) < 100:
            self._reported.add(problem)
            self.get_logger().error(f"{problem} (said once; counted in /diagnostics as drops)")

    # Status -------------------------------------------------------------------------------------

    def _publish_status(self, state: int | None = None) -> None:
        recording = self._recording
        if recording is None or not self.context.ok():
            return
        if self._error:
            state = RecorderStatus.STATE_ERROR
        elif self._assembler.paused:
            state = RecorderStatus.STATE_PAUSED
        elif state is None:
            busy = self._assembler.recording
            state = RecorderStatus.STATE_RECORDING if busy else RecorderStatus.STATE_READY
        message = RecorderStatus(
            state=state,
            run=recording.path,
            episodes=recording.episodes,
            last_episode=self._last.number,
            last_steps=self._last.steps,
            last_gaps=self._last.gaps,
            bytes=recording.bytes,
            dropped=self._assembler.refused,
            error=self._error,
        )
        message.header.stamp = self._now()
        self._status_publisher.publish(message)
        self.diagnostics.set("run", recording.path)
        self.diagnostics.set("episodes", recording.episodes)
        self.diagnostics.set("bytes", recording.bytes)

    def _now(self) -> Time:
        return self.get_clock().now().to_msg()


def _with_depth(profile: QoSProfile, depth: int) -> QoSProfile:
    return QoSProfile(
        history=profile.history,
        depth=depth,
        reliability=profile.reliability,
        durability=profile.durability,
    )


def main() -> None:
    """Run the recorder."""
    sys.exit(run(RecorderNode))


if __name__ == "__main__":
    main()
