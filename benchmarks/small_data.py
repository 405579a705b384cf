# SPDX-License-Identifier: Apache-2.0
"""Learning curve of `outcome` against peers, and what its small-data alarm keeps of its promise.

    python benchmarks/small_data.py curve --pool data/pool --test data/test --output FOLDER
    python benchmarks/small_data.py coverage --pool data/pool --test data/test --output FOLDER

`curve`: each method learns from the same N episodes of the pool, drawn five times, by their
outcomes alone, and ranks the same test episodes by their largest score up to T_min of their task.
Recall is at the score that 10 % of the test's successes exceed up to T_min, for each method alike.
`coverage`: 200 draws of episodes with 40 successes; how many of the test's successes have an alarm.
What was done is kept in FOLDER/*.json and not done again.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from salus_core.baselines import make_baselines
from salus_core.curves import first_alarm
from salus_core.data import StepData, read_steps
from salus_core.metrics import EpisodeBootstrap, estimate, peak
from salus_core.predictors.training.configuration import RunSettings
from salus_core.predictors.training.cross_figures import ranking, t_min
from salus_core.predictors.training.cross_validation import cross_validate
from salus_core.predictors.training.processes import processes
from salus_core.predictors.training.trainer import Trainer

SIZES = (30, 60, 120, 300, 1000)
DRAWS = 5
FALSE_ALARMS = 0.1
BODY = ("proprioception", "action")
CPU = torch.device("cpu")


def settings(name: str, **given: Any) -> RunSettings:
    """A run's settings with the defaults of a kind."""
    return RunSettings.from_mapping({"predictor": name, **given})


def ours(inputs: tuple[str, ...] = ()) -> Callable[[StepData, StepData, int], np.ndarray]:
    """The ensemble `outcome`: mean risk of its members."""

    def scores(train: StepData, test: StepData, seed: int) -> np.ndarray:
        found = cross_validate(settings("outcome", seed=seed, inputs=list(inputs)), train, CPU)
        return found.predictor.member_risks(test).mean(axis=1)

    return scores


def safe(name: str) -> Callable[[StepData, StepData, int], np.ndarray]:
    """SAFE's detector; 15 % of the episodes choose its best epoch."""

    def scores(train: StepData, test: StepData, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        failed = train.episodes.failed
        held = np.concatenate(
            [
                rng.permutation(kind)[: max(1, round(0.15 * len(kind)))]
                for kind in (np.flatnonzero(failed), np.flatnonzero(~failed))
            ]
        )
        rest = np.setdiff1d(np.arange(len(failed)), held)
        with tempfile.TemporaryDirectory() as folder, processes("cpu") as workers:
            how = {"epochs": 60, "stop_patience": 8, "keep_every": 0}
            given = settings(name, seed=seed, output=folder, training=how)
            trainer = Trainer(given, train.select(rest), train.select(held), workers)
            return trainer.run().raw_scores(test)

    return scores


def baseline(name: str) -> Callable[[StepData, StepData, int], np.ndarray]:
    """A baseline of the package."""

    def scores(train: StepData, test: StepData, seed: int) -> np.ndarray:
        (one,) = make_baselines([name])
        found = np.asarray(one.fit(train).scores(test))
        return found[:, -1].sum(axis=-1) if found.ndim == 3 else found

    return scores


METHODS: dict[str, Callable[[StepData, StepData, int], np.ndarray]] = {
    "outcome": ours(),
    "proprioception": ours(BODY),
    "safe_lstm": safe("safe_lstm"),
    "safe_mlp": safe("safe_mlp"),
    "cosine_knn_5": baseline("cosine_knn_5"),
    "logpzo": baseline("logpzo"),
}


def known(data: StepData) -> StepData:
    """Episodes that failed or succeeded by themselves."""
    return data.select((data.episodes.failed | data.episodes.succeeded) & ~data.episodes.intervened)


def draw(pool: StepData, size: int, number: int) -> StepData:
    """Episodes of the pool; a larger draw of the same number holds the smaller one."""
    order = np.random.default_rng(number).permutation(len(pool.episodes))
    return pool.select(np.sort(order[:size]))


def peaks_of(score: np.ndarray, test: StepData) -> np.ndarray:
    """Largest score of each episode up to T_min of its task, and not after its onset."""
    limit = t_min(test, np.ones(len(test.episodes), bool))
    return peak(score, test.episode, test.step, limit, floor=float(score.min()))


def curve(pool: StepData, test: StepData, output: Path) -> None:
    """Train what is not done yet; print the table and draw the picture."""
    todo = [
        (n, d, m) for n in SIZES if n <= len(pool.episodes) for d in range(DRAWS) for m in METHODS
    ]
    done = _kept(output / "curve.json")
    for size, number, method in tqdm(todo, unit="training"):
        key = f"{size} {number} {method}"
        if key in done:
            continue
        found = METHODS[method](draw(pool, size, number), test, number)
        done[key] = peaks_of(found, test).tolist()
        (output / "curve.json").write_text(json.dumps(done))
    print(curve_table(done, test))
    picture(done, test, output / "small_data.png")


def _kept(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}


def mean_ranking(peaks: list[list[float]], test: StepData, within: bool) -> Any:
    """Mean over draws of the ROC-AUC, over all or within tasks; interval over the test episodes."""
    table, bootstrap = test.episodes, EpisodeBootstrap(len(test.episodes))
    everyone = np.ones(len(table), bool)
    found = [
        ranking(np.asarray(one), table.failed, table.task, everyone, bootstrap)[within]
        for one in peaks
    ]
    return estimate(
        float(np.mean([e.value for e in found])), np.mean([e.replicates for e in found], axis=0)
    )


def recall(peaks: list[list[float]], test: StepData) -> Any:
    """Mean over draws of the share of failures above the score that 10 % of successes exceed."""
    table, bootstrap = test.episodes, EpisodeBootstrap(len(test.episodes))
    found = []
    for one in peaks:
        score = np.asarray(one)
        edge = np.quantile(score[table.succeeded], 1.0 - FALSE_ALARMS, method="higher")
        found.append(bootstrap.ratio((score > edge) & table.failed, table.failed))
    return estimate(
        float(np.mean([e.value for e in found])), np.mean([e.replicates for e in found], axis=0)
    )


def _sizes(done: dict[str, Any]) -> list[int]:
    return sorted({int(key.split()[0]) for key in done})


def _of(done: dict[str, Any], size: int, method: str) -> list[list[float]]:
    return [v for k, v in done.items() if k.split()[0] == str(size) and k.split()[2] == method]


def curve_table(done: dict[str, Any], test: StepData) -> str:
    """Figures as Markdown."""
    lines = [
        f"{len(test.episodes)} test episodes, {int(test.episodes.failed.sum())} failed",
        "",
        "| episodes | method | draws | ROC-AUC at T_min | within task | outcome - it | recall |",
        "|---:|---|---:|---:|---:|---:|---:|",
    ]
    for size in _sizes(done):
        reference = mean_ranking(_of(done, size, "outcome"), test, False)
        for method in METHODS:
            peaks = _of(done, size, method)
            if not peaks:
                continue
            pooled = mean_ranking(peaks, test, False)
            more = estimate(
                reference.value - pooled.value, reference.replicates - pooled.replicates
            )
            cells = [pooled, mean_ranking(peaks, test, True), more, recall(peaks, test)]
            told = [f"{e.value:.3f} [{e.low:.3f}, {e.high:.3f}]" for e in cells]
            if method == "outcome":
                told[2] = ""
            lines.append(f"| {size} | {method} | {len(peaks)} | {' | '.join(told)} |")
    return "\n".join(lines)


def picture(done: dict[str, Any], test: StepData, path: Path) -> None:
    """ROC-AUC over the number of episodes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.2), constrained_layout=True)
    for method in METHODS:
        sizes = [size for size in _sizes(done) if _of(done, size, method)]
        found = [mean_ranking(_of(done, size, method), test, False) for size in sizes]
        values = [e.value for e in found]
        thick = 2.4 if method == "outcome" else 1.2
        (line,) = axes.plot(sizes, values, marker="o", ms=4, lw=thick, label=method)
        if method == "outcome":
            low, high = [e.low for e in found], [e.high for e in found]
            axes.fill_between(sizes, low, high, color=line.get_color(), alpha=0.15)
    axes.set_xscale("log")
    axes.set_xticks(list(SIZES), [str(size) for size in SIZES])
    axes.minorticks_off()
    axes.set_xlabel("episodes to learn from")
    axes.set_ylabel("ROC-AUC of new episodes at T_min")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)


def coverage(pool: StepData, test: StepData, output: Path, draws: int, alpha: float) -> None:
    """False-alarm rate on the test's successes over many small draws."""
    good = test.select(test.episodes.succeeded)
    done = _kept(output / "coverage.json")
    failing = float(pool.episodes.failed.mean())
    size = round(40 / (1.0 - failing))
    for number in tqdm(range(draws), unit="draw"):
        if str(number) in done:
            continue
        rng = np.random.default_rng(10_000 + number)
        succeeded = rng.permutation(np.flatnonzero(pool.episodes.succeeded))[:40]
        failed = rng.permutation(np.flatnonzero(pool.episodes.failed))[: size - 40]
        part = pool.select(np.sort(np.concatenate([succeeded, failed])))
        given = settings("outcome", seed=number)
        given = dataclasses.replace(
            given, calibration=dataclasses.replace(given.calibration, alpha=alpha)
        )
        predictor = cross_validate(given, part, CPU).predictor
        alarm = predictor.band.alarm(predictor.forecasts(good)[1], good.step)
        first = first_alarm(alarm, good.episodes.start, good.episodes.length)
        done[str(number)] = [int((first >= 0).sum()), len(good.episodes), predictor.band.bound]
        (output / "coverage.json").write_text(json.dumps(done))
    rates = np.array([alarms / episodes for alarms, episodes, _ in done.values()])
    error = rates.std(ddof=1) / math.sqrt(len(rates))
    print(
        f"{len(rates)} draws of 40 successes and {size - 40} failures, alpha {alpha}: false-alarm "
        f"rate on {len(good.episodes)} new successes {rates.mean():.3f} +- {1.96 * error:.3f} "
        f"(mean over draws, 95 %), 5 to 95 % of the draws {np.quantile(rates, 0.05):.3f} to "
        f"{np.quantile(rates, 0.95):.3f}; guaranteed at most {next(iter(done.values()))[2]:.3f}"
    )


def main() -> None:
    """Run the study that is named."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("study", choices=("curve", "coverage"))
    parser.add_argument("--pool", required=True, help="runs to draw episodes to learn from")
    parser.add_argument("--test", required=True, help="runs to judge by")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=200, help="of coverage")
    parser.add_argument("--alpha", type=float, default=0.1, help="of coverage")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.output.mkdir(parents=True, exist_ok=True)
    pool, test = known(read_steps(options.pool)), known(read_steps(options.test))
    if options.study == "curve":
        curve(pool, test, options.output)
    else:
        coverage(pool, test, options.output, options.draws, options.alpha)


if __name__ == "__main__":
    main()
