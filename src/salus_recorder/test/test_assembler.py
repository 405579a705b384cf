# SPDX-License-Identifier: Apache-2.0
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from salus_core.messages import Input
from salus_recorder.assembler import EpisodeAssembler

REQUIRED = ("image", "command")


@dataclass
class Status:
    step: int


class Sink:
    """Keeps what it is given."""

    def __init__(self):
        self.described = True
        self.room = 10**9
        self.said: list[tuple] = []

    def begin(self, episode):
        if self.described:
            self.said.append(("begin", episode))
        return self.described

    def row(self, episode, row):
        self.room -= 1
        if self.room >= 0:
            self.said.append(("row", episode, row.step, *sorted(row.messages)))
        return self.room >= 0

    def end(self, episode, status, length):
        self.said.append(("end", episode, length, "known" if status else "unknown"))

    def discard(self, episode, reason):
        self.said.append(("discard", episode, reason))

    def report(self, message):
        self.said.append(("report", message))

    def rows(self, episode):
        return [entry[2:] for entry in self.said if entry[:2] == ("row", episode)]

    def others(self):
        return [entry for entry in self.said if entry[0] != "row"]


@pytest.fixture
def sink():
    return Sink()


@pytest.fixture
def assembler(sink):
    return EpisodeAssembler(
        sink,
        REQUIRED,
        [Input("image", capacity=8)],
        optional=("forecast",),
        max_step_lag=3,
        grace=1.0,
        capacity=8,
    )


def stamp_of(episode, step):
    return 10**9 * (10 * episode + step + 1)


def stamped(stamp, **fields):
    sec, nanosec = divmod(stamp, 10**9)
    stamp = SimpleNamespace(sec=sec, nanosec=nanosec)
    return SimpleNamespace(header=SimpleNamespace(stamp=stamp), **fields)


def add_step(assembler, episode, step, stamp=None, now=None):
    stamp = stamp_of(episode, step) if stamp is None else stamp
    message = stamped(stamp, episode=episode, step=step)
    assembler.add_step(message, stamp * 1e-9 if now is None else now)


def add_image(assembler, stamp, text, now=None):
    assembler.add_stamped("image", stamped(stamp, text=text), stamp * 1e-9 if now is None else now)


def observe(assembler, episode, step, topics=(*REQUIRED, "step")):
    for topic in topics:
        if topic == "step":
            add_step(assembler, episode, step)
        elif topic == "image":
            add_image(assembler, stamp_of(episode, step), f"image {step}")
        else:
            assembler.add(topic, episode, step, f"{topic} {step}")


FULL = ("command", "image", "step")


def test_rows_come_whole_and_in_order_whatever_the_arrival(assembler, sink):
    observe(assembler, 0, 1)
    observe(assembler, 0, 0, ("command", "step"))
    assert sink.said == []
    observe(assembler, 0, 0, ("image",))
    observe(assembler, 0, 2, ("image", "command"))
    observe(assembler, 0, 2, ("step",))
    assert sink.said == [("begin", 0), *(("row", 0, step, *FULL) for step in range(3))]


def test_end_cuts_at_its_step_at_once_when_all_is_there(assembler, sink):
    for step in range(3):
        observe(assembler, 0, step)
    observe(assembler, 0, 3, ("step", "image"))  # the observation that ended it
    assembler.add_end(0, Status(3), now=0.0)
    assert sink.others() == [("begin", 0), ("end", 0, 3, "known")]
    observe(assembler, 0, 3, ("command",))
    assert assembler.late == 1
    assert len(sink.rows(0)) == 3


def test_end_may_come_first(assembler, sink):
    assembler.add_end(0, Status(2), now=0.0)
    observe(assembler, 0, 0)
    observe(assembler, 0, 1)
    assert sink.said[-1] == ("end", 0, 2, "known")


def test_end_waits_for_missing_messages_as_long_as_the_grace(assembler, sink):
    observe(assembler, 0, 0)
    observe(assembler, 0, 1, ("step", "image"))
    assembler.add_end(0, Status(2), now=10.0)
    assembler.tick(10.9)
    assert len(sink.rows(0)) == 1
    assembler.tick(11.0)
    assert sink.rows(0)[1] == (1, "image", "step")
    assert sink.said[-1] == ("end", 0, 2, "known")


def test_missing_message_is_a_gap_after_the_lag(assembler, sink):
    observe(assembler, 0, 0)
    observe(assembler, 0, 1, ("step", "command"))
    for step in (2, 3):
        observe(assembler, 0, step)
    assert len(sink.rows(0)) == 1
    observe(assembler, 0, 4)
    assert sink.rows(0)[1] == (1, "command", "step")
    assert [row[0] for row in sink.rows(0)] == [0, 1, 2, 3, 4]


def test_step_of_which_nothing_came_is_left_out(assembler, sink):
    for step in (0, 2, 3, 4):
        observe(assembler, 0, step)
    assert [row[0] for row in sink.rows(0)] == [0, 2, 3, 4]


def test_duplicates_are_ignored_and_counted(assembler, sink):
    observe(assembler, 0, 0, ("step", "image"))
    observe(assembler, 0, 0, ("step", "image"))
    add_image(assembler, stamp_of(0, 5), "early")
    add_image(assembler, stamp_of(0, 5), "early again")
    assert assembler.duplicates == 1
    assert assembler.matching.counts["image"].repeated == 2


def test_optional_message_is_waited_for_only_if_somebody_publishes_it(assembler, sink):
    assembler.expected = {"forecast"}
    observe(assembler, 0, 0)
    assert sink.rows(0) == []
    observe(assembler, 0, 0, ("forecast",))
    assert sink.rows(0) == [(0, "command", "forecast", "image", "step")]
    assembler.expected = set()
    observe(assembler, 0, 1)
    assert len(sink.rows(0)) == 2


def test_next_episode_waits_for_the_end_of_the_last(assembler, sink):
    observe(assembler, 0, 0)
    observe(assembler, 1, 0)
    assert sink.others() == [("begin", 0)]
    assembler.add_end(0, Status(1), now=0.0)
    assert sink.others() == [("begin", 0), ("end", 0, 1, "known"), ("begin", 1)]


def test_episode_whose_end_never_comes_ends_when_the_next_has_begun(assembler, sink):
    observe(assembler, 0, 0)
    observe(assembler, 0, 1)
    observe(assembler, 0, 2, ("step",))
    observe(assembler, 1, 0)
    assembler.tick(3.0)
    observe(assembler, 1, 1)  # one step alone may be a mistake
    assembler.tick(5.0)
    assembler.tick(5.9)
    assert sink.others() == [("begin", 0)]
    assembler.tick(6.0)
    assert sink.others() == [("begin", 0), ("end", 0, 2, "unknown"), ("begin", 1)]


def test_first_steps_that_were_lost_are_gaps(assembler, sink):
    for step in range(2, 6):
        observe(assembler, 0, step)
    assert sink.said[0] == ("begin", 0)
    assert [row[0] for row in sink.rows(0)] == [2, 3, 4, 5]


def test_episode_whose_beginning_was_missed_is_not_recorded(assembler, sink):
    for step in range(10, 14):
        observe(assembler, 0, step)
    assert sink.said == [("report", "episode 0 is not recorded: its beginning was missed")]
    observe(assembler, 0, 14)
    assembler.add_end(0, Status(15), now=0.0)
    observe(assembler, 1, 0)
    assert sink.said[1:] == [("begin", 1), ("row", 1, 0, *FULL)]


def test_episode_without_a_description_is_reported(assembler, sink):
    sink.described = False
    for step in range(20):
        observe(assembler, 0, step)
    assert assembler.refused > 0  # memory is bounded
    assembler.add_end(0, Status(20), now=0.0)
    assembler.tick(1.0)
    (report,) = sink.said
    assert "what describes it never came" in report[1]


def test_episode_without_steps_is_reported(assembler, sink):
    assembler.add_end(0, Status(0), now=0.0)
    assert sink.said == [("report", "episode 0 is not recorded: it ended before its first step")]


def test_pause_discards_and_resume_waits_for_the_next_beginning(assembler, sink):
    observe(assembler, 0, 0)
    assembler.pause()
    assert sink.said[-1] == ("discard", 0, "recording was paused")
    observe(assembler, 0, 1)
    observe(assembler, 1, 0)
    assembler.resume()
    observe(assembler, 1, 1)
    assembler.add_end(1, Status(2), now=0.0)
    observe(assembler, 2, 0)
    assert sink.others()[2:] == [("begin", 2)]


@pytest.mark.parametrize("stop", ["pause", "clear"])
def test_an_episode_that_has_ended_is_kept_by_whoever_stops(assembler, sink, stop):
    """Its last step waits for an image when a person ends the recorder."""
    observe(assembler, 0, 0)
    observe(assembler, 0, 1, ("step", "command"))
    assembler.add_end(0, Status(2), now=0.0)
    observe(assembler, 1, 0)
    assembler.pause() if stop == "pause" else assembler.clear("the recorder was deactivated")
    assert sink.rows(0) == [(0, *FULL), (1, "command", "step")]
    assert sink.others()[:2] == [("begin", 0), ("end", 0, 2, "known")]
    assert not any(said[0] == "discard" and said[1] == 0 for said in sink.others())


def test_what_has_ended_waits_for_room(assembler, sink):
    observe(assembler, 0, 0)
    observe(assembler, 0, 1, ("step", "command"))
    assembler.add_end(0, Status(2), now=0.0)
    sink.room = 0
    assert not assembler.end_known()
    sink.room = 5
    assert assembler.end_known()
    assert sink.others()[-1] == ("end", 0, 2, "known")


def test_given_up_are_episodes_in_progress_of_which_the_topic_has_come(assembler, sink):
    observe(assembler, 0, 0)
    observe(assembler, 0, 1, ("step", "image"))
    assembler.add_end(0, Status(2), now=0.0)
    observe(assembler, 1, 0)
    observe(assembler, 2, 0, ("step", "image"))
    assembler.give_up("command", "another policy took over")
    assert sink.said[-1] == ("report", "episode 1 is not recorded: another policy took over")
    observe(assembler, 1, 1)
    observe(assembler, 0, 1, ("command",))
    observe(assembler, 2, 0, ("command",))
    assert sink.others()[2:] == [("end", 0, 2, "known"), ("begin", 2)]
    assembler.give_up("command", "another policy took over")
    assert sink.said[-1] == ("discard", 2, "another policy took over")
    assert not assembler.recording


def test_rows_wait_while_the_sink_has_no_room(assembler, sink):
    sink.room = 2
    for step in range(5):
        observe(assembler, 0, step)
    assembler.add_end(0, Status(5), now=0.0)
    assembler.tick(9.0)
    assert [row[0] for row in sink.rows(0)] == [0, 1]
    assert assembler.waiting == 3
    sink.room = 10
    assembler.tick(9.1)
    assert [row[0] for row in sink.rows(0)] == [0, 1, 2, 3, 4]
    assert sink.said[-1] == ("end", 0, 5, "known")
    assert assembler.refused == 0


def test_messages_of_too_many_steps_are_refused_and_counted(assembler, sink):
    sink.room = 0
    for step in range(10):
        observe(assembler, 0, step)
    assert assembler.waiting == 8
    assert assembler.refused == 4  # command and step; an image is not known to be of these steps
    sink.room = 10**9
    assembler.add_end(0, Status(10), now=0.0)
    assembler.tick(1.0)
    assert [row[0] for row in sink.rows(0)] == list(range(8))
    assert sink.said[-1] == ("end", 0, 10, "known")


def test_unmatched_stamps_are_bounded(assembler):
    for step in range(100):
        add_image(assembler, stamp_of(0, step), "never matched", now=0.01 * step)
    assert assembler.matching.counts["image"].overflown == 92


def test_a_world_that_starts_anew_counts_from_the_beginning(assembler, sink):
    observe(assembler, 4, 0)
    assembler.add_end(4, Status(1), now=0.0)
    assert assembler.finished == 4
    assembler.clear("the world was started anew")
    observe(assembler, 0, 0)
    assert sink.said[-1] == ("row", 0, 0, *FULL)


@pytest.mark.parametrize("step_first", [False, True])
def test_stamps_that_restart_at_each_episode_never_mix_episodes(sink, assembler, step_first):
    kept = []
    sink.row = lambda episode, row: (
        kept.append((episode, row.step, row.messages["image"].text)) or True
    )
    second = 1_000_000_000
    for episode in range(4):
        for step in range(5):
            stamp, now = second + step * second // 20, 10.0 * episode + 0.05 * step
            if step_first:
                add_step(assembler, episode, step, stamp, now)
            add_image(assembler, stamp, f"image {episode}.{step}", now)
            if not step_first:
                add_step(assembler, episode, step, stamp, now)
            assembler.add("command", episode, step, "command")
        assembler.add_end(episode, Status(5), now=10.0 * episode + 1)
    assert kept == [(e, s, f"image {e}.{s}") for e in range(4) for s in range(5)]


@pytest.mark.parametrize("episode", [0, 7, 2**32 - 1])
@pytest.mark.parametrize("step", [0, 2**31, 2**32 - 1])
@pytest.mark.parametrize("topic", ["step", "command", "end"])
def test_no_number_in_one_message_costs_more_than_that_message(
    sink, assembler, topic, episode, step
):
    observe(assembler, 0, 0)
    observe(assembler, 0, 1)
    if topic == "end":
        if (episode, step) == (0, 0):
            return  # a plausible end
        assembler.add_end(episode, Status(step), now=1.0)
    elif topic == "step":
        add_step(assembler, episode, step, stamp=stamp_of(0, 1) + 1)
    else:
        assembler.add(topic, episode, step, "wrong")
    for _ in range(3):
        assembler.tick(3.0)
    for step in range(2, 5):
        observe(assembler, 0, step)
    assembler.tick(4.0)
    assembler.add_end(0, Status(5), now=5.0)
    assert [row[0] for row in sink.rows(0)] == [0, 1, 2, 3, 4]
    assert ("end", 0, 5, "known") in sink.said
    for step in range(3):
        observe(assembler, 1, step)
    assembler.add_end(1, Status(3), now=6.0)
    assert sink.said[-1] == ("end", 1, 3, "known")
    assembler.tick(100.0)
    assembler.tick(200.0)
    assert not assembler.recording


def test_stamps_within_the_tolerance_belong_together(sink):
    assembler = EpisodeAssembler(sink, REQUIRED, [Input("image")], tolerance=0.01)
    for step in range(3):
        stamp = stamp_of(0, step)
        add_step(assembler, 0, step)
        add_image(assembler, stamp + 5_000_000, f"image {step}", now=stamp * 1e-9 + 0.06)
        assembler.add("command", 0, step, "command")
    assert sink.rows(0) == [(step, *FULL) for step in range(3)]


def test_what_has_come_by_stamp_is_kept_of_a_row_that_is_given_up(sink):
    topics = ("image", "other", "command")
    inputs = [Input("image"), Input("other")]
    assembler = EpisodeAssembler(sink, topics, inputs, grace=1.0, wait=60.0)
    observe(assembler, 0, 0)
    assembler.add_end(0, Status(1), now=0.0)
    assembler.tick(2.0)
    assert sink.rows(0) == [(0, *FULL)]
