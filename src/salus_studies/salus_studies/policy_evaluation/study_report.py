# SPDX-License-Identifier: Apache-2.0
"""Figures of a study and their tables."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from salus_studies.policy_evaluation.study_episodes import (
    EARLY_STEPS,
    ENSEMBLE,
    PROBE_TARGETS,
    REFUSED,
    Result,
)
from salus_studies.policy_evaluation.study_probe import linear_probe

OUTCOMES = ("success", "collision", "drop", "missed_grasp", "timeout")
_Z = 1.959964  # 95 %
_RESAMPLES = 2000
_CELL = ("actor", "difficulty", "wording", "profile")


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


def comparisons(results: Iterable[Result]) -> dict[str, Any]:
    """Spread of the members' success, and what unseen wordings cost on the same seeds.

    The interval of the difference is the normal one of a mean of pairs.
    """
    won: dict[tuple[str, str], dict[int, bool]] = {}
    for result in results:
        if result.cell.difficulty == "standard" and result.outcome != REFUSED:
            key = (result.cell.actor, result.cell.wording)
            won.setdefault(key, {})[result.seed] = result.outcome == "success"
    found: dict[str, Any] = {}
    alone = [
        float(np.mean(list(of.values())))
        for (actor, _), of in won.items()
        if actor.startswith("member_")
    ]
    if alone:
        found["members"] = {"lowest": min(alone), "highest": max(alone)}
    seen, unseen = won.get((ENSEMBLE, "seen"), {}), won.get((ENSEMBLE, "unseen"), {})
    pairs = [float(unseen[seed]) - float(seen[seed]) for seed in seen.keys() & unseen.keys()]
    if len(pairs) > 1:
        reach = _Z * float(np.std(pairs, ddof=1)) / math.sqrt(len(pairs))
        mean = float(np.mean(pairs))
        found["unseen_minus_seen"] = {
            "difference": mean,
            "low": mean - reach,
            "high": mean + reach,
            "pairs": len(pairs),
        }
    return found


def markdown(study: dict[str, Any]) -> str:
    """The study's tables."""
    lines = [
        f"Policy `{study['checkpoint']}`, hash {study['hash'][:12]}, {study['members']} members. "
        f"Made by `{study['command']}`.",
        *_success_tables(study),
        *_comparison_lines(study["comparisons"]),
        *_disagreement_table(study["disagreement"]),
        *_probe_table(study["probe"]),
        *_latency_table(study["latency"]),
    ]
    return "\n".join(lines) + "\n"


def _success_tables(study: dict[str, Any]) -> list[str]:
    rows = [row for row in study["rates"] if row["episodes"]]
    whole = [row for row in rows if row["task"] == "all"]
    lines = [
        "",
        "## Success",
        "",
        f"Seeds from {study['first_seed']}, no faults; 95 % intervals (Wilson).",
        "",
        *_head("who", "difficulty", "wording", "episodes", "success", *OUTCOMES[1:]),
    ]
    for row in whole:
        counts = (row["outcomes"][name] for name in OUTCOMES[1:])
        cells = (row[key] for key in ("actor", "difficulty", "wording", "episodes"))
        lines.append(_row(*cells, _interval(row), *counts))
    tasks = sorted({row["task"] for row in rows} - {"all"})
    lines += ["", "By task:", "", *_head("who", "difficulty", "wording", *tasks)]
    for cell in whole:
        cells = [cell[key] for key in ("actor", "difficulty", "wording")]
        for task in tasks:
            found = [
                _interval(row) + f" of {row['episodes']}"
                for row in rows
                if row["task"] == task and all(row[k] == cell[k] for k in _CELL)
            ]
            cells.append(found[0] if found else "-")
        lines.append(_row(*cells))
    return lines


def _comparison_lines(found: dict[str, Any]) -> list[str]:
    lines = []
    if "members" in found:
        low, high = _percent(found["members"]["lowest"]), _percent(found["members"]["highest"])
        lines += ["", f"Single members on 'standard': {low} to {high}."]
    if "unseen_minus_seen" in found:
        row = found["unseen_minus_seen"]
        points = [f"{100 * row[key]:+.1f}" for key in ("difference", "low", "high")]
        lines += [
            "",
            f"Unseen minus seen wordings, {row['pairs']} pairs of episodes: {points[0]} points "
            f"({points[1]} to {points[2]}).",
        ]
    return lines


def _disagreement_table(found: dict[str, Any]) -> list[str]:
    if not found:
        return []
    lines = ["", "## Epistemic uncertainty", ""]
    lines += _head("means over episodes", "ratio", "95 % interval", "ratio of medians")
    for name, row in found.items():
        interval = f"{row['low']:.2f} to {row['high']:.2f}"
        lines.append(_row(name, f"{row['ratio']:.2f}", interval, f"{row['ratio_of_medians']:.2f}"))
    return lines


def _probe_table(found: dict[str, Any]) -> list[str]:
    if not found or not found["scores"]["embedding"]:
        return []
    lines = [
        "",
        "## Linear probe",
        "",
        f"Ridge regression from the embedding, fitted on {found['train_episodes']} episodes, "
        f"scored on {found['test_episodes']} others.",
        "",
        *_head("quantity", "R2", "median error [mm]", "R2 of a member alone"),
    ]
    alone = [scores for name, scores in found["scores"].items() if name != "embedding"]
    for index, score in enumerate(found["scores"]["embedding"]):
        r2 = [scores[index]["r2"] for scores in alone]
        members = f"{min(r2):.3f} to {max(r2):.3f}"
        lines.append(
            _row(score["name"], f"{score['r2']:.3f}", f"{1000 * score['error']:.1f}", members)
        )
    return lines


def _latency_table(found: dict[str, Any]) -> list[str]:
    if not found:
        return []
    lines = ["", "## Latency", "", *_head("act(), one thread", "median", "95 %", "CPU mean")]
    for name, row in found.items():
        figures = (f"{row[key]:.1f} ms" for key in ("median_ms", "p95_ms", "cpu_ms"))
        lines.append(_row(name, *figures))
    return lines


def _head(*names: str) -> list[str]:
    return [_row(*names), "|" + "---|" * len(names)]


def _row(*cells: Any) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def _interval(row: dict[str, Any]) -> str:
    low, high = (f"{100 * row[key]:.0f}" for key in ("low", "high"))
    return f"{_percent(row['success'])} ({low} to {high})"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"
