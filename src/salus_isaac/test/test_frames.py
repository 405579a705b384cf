# SPDX-License-Identifier: Apache-2.0
from salus_isaac.frames import FrameMatcher

TICK, TOLERANCE = 33_333_333, 8_000_000


def matcher():
    return FrameMatcher(["joints", "image"], TOLERANCE)


def fill(frames, stamp, *keys, label=None):
    for key in keys:
        frames.add(key, stamp, label or key)


def test_a_frame_is_complete_with_stamps_that_differ_by_rounding():
    frames = matcher()
    fill(frames, TICK, "clock")
    fill(frames, TICK - 400, "joints")
    assert frames.take() is None
    fill(frames, TICK + 999, "image")
    frame = frames.take()
    assert (frame.stamp, frame.messages) == (TICK, {"joints": "joints", "image": "image"})


def test_a_frame_is_taken_once():
    frames = matcher()
    fill(frames, TICK, "clock", "joints", "image")
    assert frames.take() is not None
    fill(frames, TICK, "clock", "joints", "image")
    assert frames.take() is None


def test_messages_of_another_tick_do_not_complete_a_frame():
    frames = matcher()
    fill(frames, TICK, "image")
    fill(frames, 2 * TICK, "clock", "joints")
    assert frames.take() is None
    assert frames.missing() == ["image (newest +0.0333 s behind)"]


def test_the_newest_complete_tick_is_taken_and_older_ones_are_forgotten():
    frames = matcher()
    for number in (1, 2, 3):
        fill(frames, number * TICK, "clock", "joints", "image", label=number)
    assert frames.take().messages["image"] == 3
    assert frames.take() is None


def test_a_straggler_of_a_tick_already_taken_is_ignored():
    frames = matcher()
    fill(frames, 2 * TICK, "clock", "joints", "image")
    frames.take()
    fill(frames, TICK, "clock", "joints", "image")
    assert frames.take() is None


def test_images_that_lag_a_tick_never_complete_a_frame():
    frames = matcher()
    for number in range(1, 6):
        frames.expect()
        fill(frames, number * TICK, "clock", "joints")
        fill(frames, (number - 1) * TICK, "image")
        assert frames.take() is None
        assert frames.missing() == ["image (newest +0.0333 s behind)"]


def test_images_may_come_before_the_clock_of_their_tick():
    frames = matcher()
    for number in range(1, 4):
        frames.expect()
        fill(frames, number * TICK, "image", "joints", label=number)
        assert frames.take() is None
        fill(frames, number * TICK, "clock")
        assert frames.take().messages["image"] == number


def test_memory_stays_bounded_when_nothing_is_ever_complete():
    frames = matcher()
    for number in range(1, 200):
        frames.expect()
        fill(frames, number * TICK, "clock", "joints")
    assert sum(len(held) for held in frames._held.values()) < 6


def test_what_never_came_is_named():
    frames = matcher()
    assert frames.missing() == ["clock (no new message)"]
    fill(frames, TICK, "clock", "joints")
    assert frames.missing() == ["image (none)"]
