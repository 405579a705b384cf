# SPDX-License-Identifier: Apache-2.0
"""Runs made up for tests: small, every value different, none a fill value."""

from collections.abc import Iterable

import numpy as np
import zarr

from salus_core.episode_store.episodes import EpisodeEnd, EpisodeStart, Fault
from salus_core.episode_store.schema import Camera, RunSchema
from salus_core.episode_store.writer import EpisodeWriter
from salus_core.failures import FailureType, Outcome

PERIOD = 1.0 / 30.0
JOINT_NAMES = tuple(f"joint{number}" for number in range(1, 10))


def make_schema() -> RunSchema:
    """Two tiny cameras, two objects, two signals, an embedding and chunks."""
    return RunSchema(
        control_period=PERIOD,
        signal_names=("first", "second"),
        signal_units=("1", "m"),
        signal_definitions=("one", "two"),
        signal_available=(True, True),
        cameras=(Camera("front", 4, 6), Camera("wrist", 4, 6)),
        joint_names=JOINT_NAMES,
        object_names=("red_cube", "obstacle"),
        embedding_size=3,
        chunk_shape=(2, 4, 7),
        policy="test",
        policy_hash="00",
        schema_hash="11",
    )


def make_row(schema: RunSchema, episode: int, step: int) -> dict[str, np.ndarray]:
    """Make a complete row that depends on the episode and step only."""
    random = np.random.default_rng((episode, step))
    row = {
        "timestamp": np.float64(100.0 * episode + step * PERIOD),
        "step": np.int32(step),
        "complete": True,
        "action": random.normal(size=7),
        "command": random.normal(size=7),
        "action_std": random.normal(size=7).astype("f4"),
        "state": random.normal(size=len(schema.state_names)),
        "signals": random.normal(size=2).astype("f4"),
        "signals_valid": np.array([True, step > 1]),
        "embedding": random.normal(size=3).astype("f4"),
        "chunk": random.normal(size=schema.chunk_shape).astype("f4"),
        "gripper_width": np.float32(random.uniform()),
        "gripper_command": np.float32(random.uniform()),
        "contact_force": np.float32(random.uniform()),
        "grasped_object": np.int16(step % 2),
        "object_pose": random.normal(size=(2, 7)),
        "forecast": random.uniform(size=16).astype("f4"),
        "forecast_status": np.uint8(0),
        "forecast_risk": np.float32(random.uniform()),
        "forecast_score": np.float32(random.uniform()),
        "forecast_band": np.float32(random.uniform()),
        "alarm": step % 3 == 0,
        "intervention": np.uint8(0),
    }
    for camera in schema.cameras:
        shape = (camera.height, camera.width, 3)
        row[f"image/{camera.name}"] = random.integers(1, 255, shape, np.uint8)
    return row


def write_episode(
    writer: EpisodeWriter, number: int, length: int, outcome: Outcome = Outcome.SUCCEEDED
) -> None:
    """Write and commit an episode; a failure is a drop two steps before the end."""
    writer.begin_episode(
        EpisodeStart(number=number, seed=2**63 + number, instruction=f"take cube {number} ü")
    )
    for step in range(length):
        writer.append(make_row(writer.schema, number, step))
    failed = outcome == Outcome.FAILED
    writer.commit(
        EpisodeEnd(
            length=length,
            outcome=outcome,
            failure=FailureType.DROP if failed else FailureType.NONE,
            onset_step=length - 2 if failed else -1,
            faults=(Fault("arm_force", 12.5, "N", 3, 2),) if failed else (),
        )
    )


def assert_episodes(
    group: zarr.Group,
    schema: RunSchema,
    lengths: list[int],
    first: int = 0,
    keys: Iterable[str] | None = None,
    growing: bool = False,
) -> None:
    """Check that plain zarr sees exactly the episodes of `write_episode`, bit for bit.

    Args:
        group: a run's data.zarr.
        schema: of `make_schema`.
        lengths: of the episodes.
        first: number of the first of them.
        keys: below data/; None: all.
        growing: there may be more of them by now.

    Raises:
        AssertionError: it does not.
    """
    ends = group["meta/episode_ends"][: len(lengths) if growing else None]
    assert ends.tolist() == np.cumsum(lengths).tolist()
    numbers = group["meta/episode/number"][: len(ends)]
    assert numbers.tolist() == list(range(first, first + len(lengths)))
    rows = [
        make_row(schema, number, step)
        for number, length in zip(numbers, lengths, strict=True)
        for step in range(length)
    ]
    if not rows:
        return
    for key in rows[0] if keys is None else keys:
        array = group[f"data/{key}"]
        assert array.shape[0] >= len(rows), key
        want = np.array([row[key] for row in rows], array.dtype)
        np.testing.assert_array_equal(array[: len(rows)], want, err_msg=key)
