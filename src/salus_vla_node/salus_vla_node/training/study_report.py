"""Figures of a study and their tables."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from salus_vla_node.training.study_episodes import (
    EARLY_STEPS,
    ENSEMBLE,
    PROBE_TARGETS,
    REFUSED,
    Result,
)
from salus_vla_node.training.study_probe import linear_probe

OUTCOMES = ("success", "collision", "drop", "miss", "timeout")
_Z = 1.959964  # 95 %
_RESAMPLES = 2000


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """95 % interval of a rate (Wilson 1927).

    Args:
        successes: at most `trials`.
        trials: at least 1.
    """
    rate, z2 = successes / trials, _Z**2 / trials
    middle = (rate + z2 / 2) / (1 + z2)
    reach = _Z / (1 + z2) * math.sqrt(rate * (1 - rate) / trials + z2 / (4 * trials))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def rate_row(results: Sequence[Result]) -> dict[str, Any]:
    """Success rate with its interval, and outcomes; refused seeds do not count."""
    played = [r for r in results if r.outcome != REFUSED]
    counts = Counter(r.outcome for r in played)
    low, high = wilson(counts["success"], len(played)) if played else (0.0, 1.0)
    return {
        "episodes": len(played),
        "success": counts["success"] / len(played) if played else None,
        "low": low,
        "high": high,
        "outcomes": {name: counts[name] for name in OUTCOMES},
        "mean_steps": float(np.mean([r.steps for r in played])) if played else None,
        "refused": len(results) - len(played),
    }


def rates(results: Iterable[Result]) -> list[dict[str, Any]]:
    """A row per cell, and below it one per task."""
    cells: dict[Any, list[Result]] = {}
    for result in results:
        cells.setdefault(result.cell, []).append(result)
    rows = []
    for cell, members in cells.items():
        rows.append({**vars(cell), "task": "all", **rate_row(members)})
        for task in sorted({r.task for r in members} - {""}):
            of_task = [r for r in members if r.task == task]
            rows.append({**vars(cell), "task": task, **rate_row(of_task)})
    return rows


def disagreement(results: Iterable[Result], seed: int = 0) -> dict[str, Any]:
    """Epistemic uncertainty on hard and standard scenes over that on easy ones.

    Intervals come from a bootstrap over episodes.
    """
    found: dict[str, Any] = {}
    ensemble = [r for r in results if r.cell.actor == ENSEMBLE and r.cell.wording == "seen"]
    for name, title in (("epistemic", "all steps"), ("epistemic_early", f"first {EARLY_STEPS}")):
        values = {
            difficulty: np.array(
                [
                    getattr(r, name)
                    for r in ensemble
                    if r.cell.difficulty == difficulty and not math.isnan(getattr(r, name))
                ]
            )
            for difficulty in ("easy", "standard", "hard")
        }
        rng = np.random.default_rng(seed)
        for difficulty in ("standard", "hard"):
            one, easy = values[difficulty], values["easy"]
            if not len(one) or not len(easy):
                continue
            draws = [rng.integers(0, len(v), (_RESAMPLES, len(v))) for v in (one, easy)]
            ratios = one[draws[0]].mean(axis=1) / easy[draws[1]].mean(axis=1)
            low, high = np.quantile(ratios, [0.025, 0.975])
            found[f"{difficulty} over easy, {title}"] = {
                "ratio": float(one.mean() / easy.mean()),
                "low": float(low),
                "high": float(high),
                "ratio_of_medians": float(np.median(one) / np.median(easy)),
                "episodes": [len(one), len(easy)],
            }
    return found


def probe(results: Sequence[Result], members: int) -> dict[str, Any]:
    """Linear probes on even seeds, scored on odd ones: of the embedding and of each member's part.

    Args:
        results: with embeddings.
        members: of the ensemble.
    """
    used = [r for r in results if r.embeddings is not None]
    if not used:
        return {}
    embeddings = np.concatenate([r.embeddings for r in used])
    targets = np.concatenate([r.targets for r in used])
    seeds = np.concatenate([np.full(len(r.embeddings), r.seed) for r in used])
    test = seeds % 2 == 1
    parts = {"embedding": embeddings}
    parts |= {f"member_{i}": part for i, part in enumerate(np.split(embeddings, members, axis=1))}
    scores = {
        name: [vars(s) for s in linear_probe(part, targets, seeds, test, PROBE_TARGETS)]
        for name, part in parts.items()
    }
    return {
        "train_episodes": len(np.unique(seeds[~test])),
        "test_episodes": len(np.unique(seeds[test])),
        "scores": scores,
    }


def markdown(study: dict[str, Any]) -> str:
    """The study's tables."""
    lines = [
        f"Policy `{study['checkpoint']}`, hash {study['hash'][:12]}, {study['members']} members. "
        f"Made by `{study['command']}`.",
        "",
        "## Success",
        "",
        "95 % intervals: Wilson. Seeds from " + str(study["first_seed"]) + ", no faults.",
        "",
        "| who | difficulty | wording | task | episodes | success | "
        + " | ".join(OUTCOMES[1:])
        + " |",
        "|" + "---|" * (6 + len(OUTCOMES) - 1),
    ]
    for row in study["rates"]:
        if not row["episodes"]:
            continue
        interval = f"{_percent(row['success'])} ({_percent(row['low'])} to {_percent(row['high'])})"
        cells = [row[k] for k in ("actor", "difficulty", "wording", "task", "episodes")]
        cells += [interval, *(row["outcomes"][name] for name in OUTCOMES[1:])]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    if study["disagreement"]:
        lines += ["", "## Epistemic uncertainty", ""]
        lines += [
            "| means over episodes | ratio | 95 % interval | ratio of medians |",
            "|---|---|---|---|",
        ]
        for name, row in study["disagreement"].items():
            interval = f"{row['low']:.2f} to {row['high']:.2f}"
            lines.append(
                f"| {name} | {row['ratio']:.2f} | {interval} | {row['ratio_of_medians']:.2f} |"
            )
    if study["probe"]:
        found = study["probe"]
        lines += [
            "",
            "## Linear probe",
            "",
            f"Ridge regression from the embedding, fitted on {found['train_episodes']} episodes, "
            f"scored on {found['test_episodes']} others.",
            "",
            "| quantity | R2 | median error [mm] | R2 of a member alone |",
            "|---|---|---|---|",
        ]
        alone = [scores for name, scores in found["scores"].items() if name != "embedding"]
        for index, score in enumerate(found["scores"]["embedding"]):
            of_members = [scores[index]["r2"] for scores in alone]
            lines.append(
                f"| {score['name']} | {score['r2']:.3f} | {1000 * score['error']:.1f} | "
                f"{min(of_members):.3f} to {max(of_members):.3f} |"
            )
    if study["latency"]:
        lines += ["", "## Latency", "", "| act(), one thread | median | 95 % | CPU mean |"]
        lines += ["|---|---|---|---|"]
        for name, row in study["latency"].items():
            lines.append(
                f"| {name} | {row['median_ms']:.1f} ms | {row['p95_ms']:.1f} ms | "
                f"{row['cpu_ms']:.1f} ms |"
            )
    return "\n".join(lines) + "\n"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"
