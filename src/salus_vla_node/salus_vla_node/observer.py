# SPDX-License-Identifier: Apache-2.0
"""From messages to what a policy sees: put together by stamps, checked, refused with a reason."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from salus_msgs.msg import EpisodeStatus, Step

from salus_core.messages import InvalidInputError, Matched, Synchroniser
from salus_policies.backends.base import Observation
from salus_vla_node.body import Body
from salus_vla_node.cameras import Camera, CameraInput, Pictures
from salus_vla_node.parameters import FROZEN_AFTER, VlaParameters
from salus_vla_node.steps import ImageSteps, Key, TopicSteps, key_of

NEWEST_STEP_WAIT = 5.0
"""The newest Step waits so long [s]: an environment in lockstep may be stopped between messages, a
lost one is sent again after 3 s, and after 6 s the environment goes on without an answer."""
STEP_WAIT = 1.0
"""A Step that a newer one has followed waits so long for messages of its stamp [s]."""


@dataclass(frozen=True)
class Told:
    """Who is called, always from within one of the observer's methods.

    Attributes:
        observed: with a Step, the position of its episode, and the observation to act on.
        refused: with the Step of an observation that must not be acted on, the kind of reason, to
            be counted by, and the reason.
        dropped: for each step that is given up without a word.
        placed: with the Step that an image stands for, before anything is known of the rest.
        restarted: with a sentence when stamps or numbers went back.
    """

    observed: Callable[[Step, int, Observation], None]
    refused: Callable[[Step, str, str], None]
    dropped: Callable[[], None]
    placed: Callable[[Step], None]
    restarted: Callable[[str], None]


class Observer:
    """Makes one observation of each Step, or of each image of the leading camera.

    What belongs to a Step has its stamp. What belongs to an image has the nearest stamp within the
    tolerance, and is waited for. Not thread-safe.

    Args:
        given: parameters; those that may change are followed.
        body: of the robot.
        cameras: of the policy; the first one leads where images are the steps.
        episodes: numbers for episodes of images.
        told: who is called.
    """

    def __init__(
        self,
        given: VlaParameters,
        body: Body,
        cameras: Mapping[str, Camera],
        episodes: Iterator[int],
        told: Told,
    ):
        self._given = given
        self._body = body
        self._told = told
        self._by_images = given.step_source == "images"
        self._steps: TopicSteps | ImageSteps
        if self._by_images:
            by_topic = given.episode_source == "topic"
            self._steps = ImageSteps(self._observe, None if by_topic else episodes)
        else:
            self._steps = TopicSteps(self._observe, told.dropped, given.queue_depth, told.restarted)
        self.use(cameras, 0.0)

    def use(self, cameras: Mapping[str, Camera], now: float) -> None:
        """Go on with other cameras."""
        self._cameras = dict(cameras)
        self._leader = next(iter(self._cameras)) if self._by_images else None
        followers = [name for name in self._cameras if name != self._leader]
        inputs = {name: CameraInput(f"camera {name}", self._cameras[name]) for name in followers}
        self._topics = {inputs[name].name: self._cameras[name].topic for name in followers}
        self._sync = Synchroniser(
            [*inputs.values(), *self._body.inputs],
            self._on_matched,
            wait=STEP_WAIT,
            newest_wait=None if self._by_images else NEWEST_STEP_WAIT,
            on_restart=self._told.restarted,
        )
        self.clear(now)

    def clear(self, now: float) -> None:
        """Forget what has come; with images as steps an episode begins."""
        self._sync.clear()
        self._steps.clear()
        self._pictures = Pictures(self._cameras)
        self._led = now

    @property
    def figures(self) -> dict[str, str]:
        """For diagnostics: what was missing or unusable of each input, and repeated images."""
        found = {}
        for name, counts in self._sync.counts.items():
            if counts.missing:
                total = counts.missing + counts.matched
                found[f"missing {name}"] = f"{counts.missing} of {total}: {counts.reason}"
            if counts.unusable:
                found[f"unusable {name}"] = f"{counts.unusable} of {counts.came}"
        if isinstance(self._steps, ImageSteps) and self._steps.repeated:
            found["repeated images"] = str(self._steps.repeated)
        return found

    def step(self, step: Step, now: float) -> None:
        """Take a Step; `now` is of a monotonic clock [s], here and below."""
        if isinstance(self._steps, TopicSteps):
            self._add(self._steps.place(step), now)

    def status(self, status: EpisodeStatus, now: float) -> None:
        """Take a status of an episode."""
        if isinstance(self._steps, TopicSteps):
            self._add(self._steps.status(status), now)
        else:
            self._steps.status(status)

    def _add(self, steps: list[tuple[Step, Key]], now: float) -> None:
        for step, key in steps:
            self._sync.add_anchor(step, now, key, key[0])

    def image(self, camera: str, image: Any, now: float) -> None:
        """Take an image of one camera."""
        if camera != self._leader or not isinstance(self._steps, ImageSteps):
            self._sync.add(f"camera {camera}", image, now)
            return
        before, key = self._steps.newest, self._steps.place(image)
        if self._steps.newest != before:
            self._led = now
        if key is not None:
            self._follow_parameters()
            self._told.placed(self._steps.step(image, key))
            self._sync.add_anchor(image, now, key, key[0])

    def state(self, topic: str, message: Any, now: float) -> None:
        """Take a JointState or PoseStamped."""
        self._sync.add(topic, message, now)

    def tick(self, now: float) -> str:
        """Let time pass; returns what is wrong with the leading camera, empty: nothing."""
        self._follow_parameters()
        self._sync.tick(now)
        if self._leader is None or now - self._led <= self._given.stale_after:
            return ""
        return (
            f"no new image on {self._cameras[self._leader].topic} for {now - self._led:.1f} s: the "
            "camera stands still, or its stamps do"
        )

    def _follow_parameters(self) -> None:
        if self._by_images:
            self._sync.tolerance = self._given.stamp_tolerance
            self._sync.wait = self._given.input_wait

    def _on_matched(self, matched: Matched) -> None:
        if matched.complete:
            self._steps.give(matched)
            return
        reasons = []
        for name, reason in matched.missing.items():
            topic = self._topics.get(name, name)
            reasons.append(reason if reason.startswith(topic) else f"{topic}: {reason}")
        step = matched.anchor
        if isinstance(self._steps, ImageSteps):
            step = self._steps.step(step, key_of(matched))
        self._told.refused(step, "incomplete observations", "; ".join(reasons))

    def _observe(self, matched: Matched, step: Step, instruction: str) -> None:
        images = {
            name: matched.anchor if name == self._leader else matched.values[f"camera {name}"]
            for name in self._cameras
        }
        try:
            seen = self._body.read(matched.values)
            pixels = {name: self._cameras[name].pixels(image) for name, image in images.items()}
            longest = self._given.frozen_after
            if longest < 0.0:
                longest = FROZEN_AFTER if self._by_images else 0.0
            if longest:
                self._pictures.require_change(images, longest)
        except InvalidInputError as error:
            self._told.refused(step, "invalid inputs", str(error))
            return
        observation = Observation(
            images=pixels,
            instruction=self._given.instruction or instruction,
            step=step.step,
            **seen,
        )
        self._told.observed(step, key_of(matched)[0], observation)
