# SPDX-License-Identifier: Apache-2.0
"""Made-up steps as runs on disk, with a table of splits."""

import numpy as np
import yaml

from salus_core.episode_store import EpisodeEnd, EpisodeStart, EpisodeWriter, Fault, RunSchema
from salus_core.failures import Outcome
from salus_core.signals import SIGNAL_NAMES

SPLITS = {"train": (0, 49), "validation": (50, 64), "calibration": (65, 99), "test": (100, 139)}
"""Seeds of the splits; the seed of an episode is its index."""


def write_runs(root, data, forecasts=None, predictor_hash="", score=None):
    """Write one run below root/runs, and root/splits.yaml; returns both paths."""
    schema = RunSchema(
        control_period=data.control_period,
        signal_names=SIGNAL_NAMES,
        signal_units=("",) * 12,
        signal_definitions=("",) * 12,
        signal_available=(True,) * 12,
        joint_names=tuple(
            name.removeprefix("position.")
            for name in data.proprioception_names
            if name.startswith("position.")
        ),
        object_names=("red_cube",),
        action=data.action_spec,
        taxonomy=data.taxonomy,
        horizons=data.horizons,
        embedding_size=data.embedding.shape[1],
        chunk_shape=data.chunk.shape[1:],
        policy="made up",
        policy_hash="00",
        members=data.members,
        schema_hash=data.schema_hash,
    )
    writer = EpisodeWriter(root / "runs", schema)
    for episode, rows in data.iterate():
        write_episode(writer, data, episode, rows, forecasts, predictor_hash, score)
    writer.close()
    splits = root / "splits.yaml"
    splits.write_text(
        yaml.safe_dump({"splits": {name: {"seeds": list(s)} for name, s in SPLITS.items()}})
    )
    return root / "runs", splits


def write_episode(writer, data, episode, rows, forecasts, predictor_hash, score):
    table = data.episodes
    writer.begin_episode(
        EpisodeStart(
            number=episode + 1,
            seed=int(table.seed[episode]),
            instruction=table.instruction[episode],
            max_steps=200,
        )
    )
    for row in range(rows.start, rows.stop):
        values = {
            "timestamp": 100.0 * episode + data.step[row] * data.control_period,
            "step": data.step[row],
            "complete": True,
            "action": data.action[row],
            "action_std": data.action_std[row],
            "state": data.proprioception[row],
            "signals": data.signals[row],
            "signals_valid": data.valid[row],
            "embedding": data.embedding[row],
            "chunk": data.chunk[row],
        }
        if forecasts is not None:
            values["forecast"] = np.ravel(forecasts[row])
        if score is not None:
            values["forecast_score"] = score[row]
        writer.append(values)
    fault = Fault("arm_force", 30.0, "N", 1, 5)
    writer.commit(
        EpisodeEnd(
            length=int(table.length[episode]),
            outcome=Outcome(int(table.outcome[episode])),
            failure=int(table.failure[episode]),
            onset_step=int(table.onset_step[episode]),
            faults=(fault,) if table.injected[episode] else (),
            predictor="made up" if predictor_hash else "",
            predictor_hash=predictor_hash,
        )
    )
