# SPDX-License-Identifier: Apache-2.0
"""Begins, ends and labels episodes where no world judges them: by services, topic, keys, joystick.

Commands are words: `begin [INSTRUCTION]`, `success`, `fail TYPE [SECONDS AGO]`, `abort`, `undo`.
They come on the topic episode_command (std_msgs/String), as services (std_srvs/Trigger), from the
terminal (parameter keys) or from a joystick (sensor_msgs/Joy, parameter joy_buttons). The topic
episode (latched) tells policy, predictor, supervisor and recorder.
"""

import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rclpy.node import Node
from salus_msgs.msg import EpisodeStatus, RecorderStatus, Step
from sensor_msgs.msg import Joy
from std_msgs.msg import String
from std_srvs.srv import Trigger

from salus_core.episode_store import EpisodeLabel, NotARunError, SchemaError, add_label, open_run
from salus_core.failures import BUILT_IN, Taxonomy, TaxonomyError
from salus_recorder.episode_marks import EpisodeMarks, Mark, MarkError
from salus_ros import qos
from salus_ros.diagnostics import Diagnostics, DiagnosticsParameters
from salus_ros.managed_node import run
from salus_ros.parameters import ParameterError, declare, parameter

MAX_COMMAND = 1000
"""Characters of a command."""


@dataclass
class EpisodeLabelParameters(DiagnosticsParameters):
    """Parameters of the node that labels episodes."""

    instruction: str = parameter(
        "", "Sentence of episodes that begin without one of their own; given to the policy."
    )
    failure_types: str = parameter(
        "",
        "YAML file of failure types besides the built-in ones; give the recorder the same.",
        read_only=True,
    )
    failure: str = parameter(
        "timeout",
        "Type of a failure that is told without one: by the service ~/fail, a key or a button.",
    )
    keys: bool = parameter(
        False, "Read commands from the terminal, a line each (b, s, f, a, u).", read_only=True
    )
    joy_buttons: list[str] = parameter(
        [""],
        "Buttons of a joystick, each as 'NUMBER=COMMAND', such as '0=begin', '1=success', "
        "'2=fail drop 1.0'; ['']: no joystick.",
        read_only=True,
    )


SHORT = {"b": "begin", "s": "success", "f": "fail", "a": "abort", "u": "undo"}


class EpisodeLabelNode(Node):
    """See the module; the topic step, which the policy's node sends, tells it the robot's steps."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("episode_label", **kwargs)
        self._given = declare(self, EpisodeLabelParameters)
        self._marks = EpisodeMarks(self._load_taxonomy())
        self._buttons = self._read_buttons()
        self._pressed: set[int] = set()
        self._run = ""
        self._diagnostics = Diagnostics(self, self._given)
        self._status = self.create_publisher(EpisodeStatus, "episode", qos.LATCHED)
        subscribe = self.create_subscription
        subscribe(Step, "step", self._on_step, qos.RELIABLE)
        subscribe(String, "episode_command", self._on_command, 10)
        subscribe(RecorderStatus, "recorder_status", self._on_recorder, qos.LATCHED)
        if self._buttons:
            subscribe(Joy, "joy", self._on_joy, 10)
        for word in SHORT.values():
            self.create_service(Trigger, f"~/{word}", self._service(word))
        if self._given.keys:
            self._typed = self.create_publisher(String, "episode_command", 10)
            threading.Thread(target=self._read_keys, name="keys", daemon=True).start()

    def _load_taxonomy(self) -> Taxonomy:
        path = self._given.failure_types
        try:
            return Taxonomy.load(path) if path else BUILT_IN
        except TaxonomyError as error:
            raise ParameterError([f"parameter 'failure_types': {error}"]) from error

    def _read_buttons(self) -> dict[int, str]:
        found = {}
        for entry in filter(None, self._given.joy_buttons):
            number, separator, command = entry.partition("=")
            if not (separator and number.isdecimal() and command.strip()):
                raise ParameterError(
                    [f"parameter 'joy_buttons': '{entry}' is not of the form NUMBER=COMMAND"]
                )
            found[int(number)] = command
        return found

    # What comes ---------------------------------------------------------------------------------

    def _on_step(self, step: Step) -> None:
        self._marks.step(step.episode, step.step, step.header)
        self._diagnostics.count()

    def _on_recorder(self, status: RecorderStatus) -> None:
        self._marks.known(status.last_episode)
        self._run = status.run

    def _on_command(self, message: String) -> None:
        self._obey(message.data)

    def _on_joy(self, message: Joy) -> None:
        held = {number for number, value in enumerate(message.buttons[:64]) if value}
        for number in sorted(held - self._pressed):
            if number in self._buttons:
                self._obey(self._buttons[number])
        self._pressed = held

    def _service(self, word: str):
        def serve(request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            response.success, response.message = self._obey(word)
            return response

        return serve

    def _read_keys(self) -> None:
        """Publishes what is typed to the node itself: the executor's thread obeys."""
        print("b [INSTRUCTION] | s | f [TYPE [SECONDS AGO]] | a | u", flush=True)
        for line in sys.stdin:
            word, _, rest = line.strip().partition(" ")
            if word:
                self._typed.publish(String(data=f"{SHORT.get(word, word)} {rest}".strip()))

    # What is done -------------------------------------------------------------------------------

    def _obey(self, text: str) -> tuple[bool, str]:
        """Do what a command says; returns whether it was done, and a sentence."""
        try:
            if len(text) > MAX_COMMAND:
                raise MarkError(f"a command of more than {MAX_COMMAND} characters is refused")
            word, _, rest = text.strip().partition(" ")
            if word == "undo":
                said = self._undo()
            else:
                if word == "begin":
                    rest = rest.strip() or self._given.instruction
                elif word == "fail":
                    rest = rest.strip() or self._given.failure
                said = self._publish(self._marks.obey(word, rest.strip()))
        except (MarkError, SchemaError, NotARunError, OSError) as error:
            self.get_logger().error(f"'{text[:80]}': {error}")
            return False, str(error)
        self.get_logger().info(said)
        return True, said

    def _publish(self, mark: Mark) -> str:
        status = EpisodeStatus(
            episode=mark.episode,
            step=mark.step,
            state=mark.state,
            failure=mark.failure,
            failure_name=mark.failure_name,
            onset_step=max(0, mark.onset_step),
            instruction=mark.instruction,
        )
        status.header = mark.header or status.header
        if mark.header is None:
            status.header.stamp = self.get_clock().now().to_msg()
        self._status.publish(status)
        return mark.said

    def _undo(self) -> str:
        """Take the last label back: whether that episode would have failed is not known then."""
        number = self._marks.last
        if number is None:
            raise MarkError("no episode has been labelled")
        if not self._run:
            raise MarkError("no recorder has said where it records: nothing to undo")
        recorded = open_run(Path(self._run))
        found = [episode for episode in recorded if episode.number == number]
        if not found:
            raise MarkError(f"episode {number} is not in {self._run} yet: try again in a moment")
        label = EpisodeLabel(found[-1].index, "aborted", note="undone", who="episode_label")
        add_label(recorded.path, label, recorded.lengths, recorded.taxonomy)
        return f"episode {number} counts as aborted; `salus label {self._run}` gives another label"


def main() -> int:
    """Run the node."""
    return run(EpisodeLabelNode)


if __name__ == "__main__":
    sys.exit(main())
