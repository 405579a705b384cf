# SPDX-License-Identifier: Apache-2.0
"""salus study prevention: what acting on forecasts prevents, on seeds with and without it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from salus_core.commands.boundary import command
from salus_core.predictors.manifest import checkpoint_hash
from salus_core.prevention.supervisor import ActingSupervisor
from salus_studies.prevention_study.film import draw
from salus_studies.prevention_study.plan import ARMS, Plan, chosen, tables_of
from salus_studies.prevention_study.report import assess, markdown
from salus_studies.prevention_study.rig import Rig, RigSettings, StudyError, folder_of
from salus_studies.prevention_study.runner import Runner


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="salus study prevention",
        allow_abbrev=False,
        description="Run the same seeds without interventions and with several ways to act, and "
        "compare them. What was done is kept; a second call goes on.",
    )
    parser.add_argument("--predictor", required=True, metavar="DIR", help="checkpoint to act on")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="first seed; default: 0")
    parser.add_argument("--seeds", type=int, required=True, metavar="N", help="their number")
    parser.add_argument(
        "--arms", nargs="+", default=list(ARMS), metavar="ARM", help=f"of {', '.join(ARMS)}"
    )
    parser.add_argument("--difficulty", default="standard", help="default: standard")
    parser.add_argument("--profile", default="mixed", help="fault profile; default: mixed")
    parser.add_argument("--policy", default="embedded", help="backend; default: embedded")
    parser.add_argument("--checkpoint", default="default", help="the policy's weights")
    parser.add_argument("--scene-head", default="", metavar="DIR", help="default: the policy's own")
    parser.add_argument(
        "--film", nargs="+", type=int, default=(), metavar="SEED", help="draw these episodes, too"
    )
    parser.add_argument("--workers", type=int, default=2, metavar="K", help="default: 2")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    return parser.parse_args(arguments)


@command("study prevention", "a second call goes on")
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = parse(arguments)
    if options.seeds < 1 or options.workers < 1 or options.seed < 0:
        raise StudyError("--seeds and --workers must be at least 1, --seed at least 0")
    arms = chosen(options.arms)
    settings = RigSettings(
        folder_of(options.predictor),
        folder_of(options.scene_head),
        options.policy,
        options.checkpoint,
        options.difficulty,
        options.profile,
    )
    rig = Rig(settings)
    period = rig.control_period
    plan = Plan(
        options.seed,
        options.seeds,
        arms,
        settings,
        tables_of(arms),
        {"predictor": checkpoint_hash(Path(settings.predictor)), **rig.hashes},
    )
    rig.close()
    plan.keep(options.output)
    runner = Runner(plan, options.output, options.workers)
    runner.run()
    report = assess(plan, runner.rows, period)
    text = json.dumps(report, indent=1, default=_plain) + "\n"
    (options.output / "report.json").write_text(text, encoding="utf-8")
    said = markdown(report, plan)
    (options.output / "report.md").write_text(said, encoding="utf-8")
    print(said)
    _films(plan, options.film, options.output)
    return 0


def _films(plan: Plan, seeds: Sequence[int], folder: Path) -> None:
    """Draw episodes without and with interventions by the first arm."""
    if not seeds:
        return
    rig = Rig(plan.rig)
    arm = plan.arms[0]
    for seed in seeds:
        supervisor = ActingSupervisor(rig.spec, plan.table(arm), rig.taxonomy, rig.control_period)
        print(draw(rig, seed, supervisor, folder / f"film_{seed}.png"))
    rig.close()


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
