# SPDX-License-Identifier: Apache-2.0
"""The training loop: updates, validation, schedule, stopping, checkpoints, resuming."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from salus_core.data.step_data import StepData
from salus_core.predictors.checkpoint import (
    CheckpointError,
    load_checkpoint,
    save_checkpoint,
    write_json,
)
from salus_core.predictors.features import InputLayout, raw_columns
from salus_core.predictors.model import NeuralPredictor, Source
from salus_core.predictors.normaliser import Normaliser
from salus_core.predictors.settings import current_names
from salus_core.predictors.training.averaging import Averaging
from salus_core.predictors.training.batches import TrainingSet
from salus_core.predictors.training.configuration import RunSettings
from salus_core.predictors.training.identity import made_of
from salus_core.predictors.training.losses import make_loss, outcome_head_loss, scene_loss
from salus_core.predictors.training.optimiser_state import (
    load_learner,
    load_numbers,
    load_optimiser,
    put_in_place,
    save_state,
)
from salus_core.predictors.training.probe import hold_projection
from salus_core.predictors.training.processes import Processes
from salus_core.predictors.training.validation import (
    require_monitor,
    require_scene,
    validation_figures,
)

BEST, LAST = "best", "last"


def make_predictor(settings: RunSettings, data: StepData) -> NeuralPredictor:
    """A predictor with fresh weights and the normaliser of the training steps.

    Raises:
        InputError: the data lack an input that is asked for.
    """
    layout = InputLayout.of(data, settings.input_groups, settings.signal_names)
    source = Source.of(data)
    if layout.proprioception_names:
        source = dataclasses.replace(source, proprioception_names=layout.proprioception_names)
    torch.manual_seed(settings.seed)
    wants_scene = settings.training.auxiliary_weight > 0 and data.scene is not None
    config = settings.network_config()
    if settings.training.linear_probe:
        config = dataclasses.replace(config, projection=data.scene.shape[1])
    return NeuralPredictor(
        settings.predictor,
        config,
        layout,
        Normaliser.fit(
            layout.group_of_columns(),
            raw_columns(layout, data),
            data.embedding[:, : layout.embedding_size],
        ),
        source,
        data.scene.shape[1] if wants_scene else 0,
    )


class Trainer:
    """Trains one predictor.

    Args:
        settings: of the run.
        train: steps to learn from.
        validation: steps to choose by.
        processes: that train together.
        progress: called with the share of the epoch that is done and the present loss.
        record: called with each epoch's figures.

    Raises:
        InputError: the data lack an input, the scene that the settings ask for, or what the
            monitored figure is made of.
        MismatchError: validation steps are of another source.
    """

    def __init__(
        self,
        settings: RunSettings,
        train: StepData,
        validation: StepData,
        processes: Processes,
        progress: Callable[[float, float], None] = lambda share, loss: None,
        record: Callable[[Mapping[str, float]], None] = lambda figures: None,
    ):
        self.settings = settings
        self._how = settings.training
        self._processes = processes
        self._progress, self._record = progress, record
        self._output = Path(settings.output)
        self._validation = validation
        require_scene(settings, train)
        require_monitor(settings, validation)
        self._made_of = made_of(settings, train, validation)
        self.predictor = make_predictor(settings, train)
        self.predictor.require_match(Source.of(validation))
        scaled = self._scaled_scenes(train, validation)
        if self._how.linear_probe:
            hold_projection(
                self.predictor.network.projection,
                train.embedding,
                scaled[0],
                self.predictor.normaliser,
                processes.device,
            )
        self._sets = (
            TrainingSet(self.predictor, train, scaled[0]),
            TrainingSet(self.predictor, validation, scaled[1]),
        )
        self._loss = make_loss(self._how.loss, self._how.positive_weight, self._how.focal_gamma)
        self.history: list[dict[str, float]] = []
        self._best = math.inf
        self._since_best = 0

    def run(self, resume: bool = False) -> NeuralPredictor:
        """Train to the end.

        Args:
            resume: go on from the checkpoint `last` in the output folder.

        Returns:
            The predictor with the weights of the best epoch, on the CPU.

        Raises:
            CheckpointError: see `require_resumable`.
        """
        how, device = self._how, self._processes.device
        self._averaging = Averaging(self.predictor.network.to(device), how.ema_decay)
        self.predictor.network = self._averaging.kept
        if resume:
            self._load_weights()
        learner = self._averaging.learner
        wrapped = self._processes.wrap(learner)
        optimiser = torch.optim.AdamW(
            learner.parameters(), lr=how.learning_rate, weight_decay=how.weight_decay
        )
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimiser, factor=how.plateau_factor, patience=how.plateau_patience
        )
        mixed = how.precision != "float32" and device.type == "cuda"
        scaler = torch.amp.GradScaler(device.type, enabled=mixed)
        first = self._resume(optimiser, schedule, scaler) if resume else 0
        for epoch in range(first, how.epochs):
            if self._since_best >= how.stop_patience:
                break
            begun = time.perf_counter()
            loss = self._epoch(epoch, wrapped, optimiser, scaler, mixed)
            figures = {
                "epoch": epoch,
                "train_loss": self._processes.mean(loss),
                "learning_rate": optimiser.param_groups[0]["lr"],
                **self._validate(),
                "seconds": time.perf_counter() - begun,
            }
            schedule.step(figures["validation_loss"])
            self._keep(epoch, figures, optimiser, schedule, scaler)
        self.predictor.network.to("cpu").eval().requires_grad_(False)
        if self._processes.first:
            best, _ = load_checkpoint(self._output / BEST)
            self.predictor.network.load_state_dict(best.network.state_dict())
        return self.predictor

    def _load_weights(self) -> None:
        self.require_resumable()
        last, _ = load_checkpoint(self._output / LAST)
        self._averaging.kept.load_state_dict(last.network.state_dict())
        if self._averaging.apart is not None:
            self._averaging.learner.load_state_dict(load_learner(self._output / LAST))
        self._averaging.resume()

    def require_resumable(self) -> None:
        """Check that there is a run to go on with, and that it is this one.

        Raises:
            CheckpointError: there is none, or it is of other settings or episodes.
        """
        folder = self._output / LAST
        begun = current_names(load_numbers(folder).get("made_of", {}))
        other = [name for name, value in self._made_of.items() if begun.get(name) != value]
        if other:
            raise CheckpointError(
                f"{folder} cannot be resumed, it was begun with other values of: "
                f"{', '.join(other)}; use those again, or another output"
            )

    def _scaled_scenes(self, *data: StepData) -> list[np.ndarray | None]:
        if not self._how.reads_scene:
            return [None] * len(data)
        scene = data[0].scene
        with np.errstate(all="ignore"):
            known = np.isfinite(scene)
            count = np.maximum(known.sum(0), 1)
            mean = np.where(known, scene, 0.0).sum(0) / count
            spread = np.sqrt((np.where(known, scene - mean, 0.0) ** 2).sum(0) / count)
        unit = np.where(spread > 1e-6, spread, 1.0)
        return [
            None if part.scene is None else ((part.scene - mean) / unit).astype(np.float32)
            for part in data
        ]

    def _epoch(
        self,
        epoch: int,
        network: torch.nn.Module,
        optimiser: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
        mixed: bool,
    ) -> float:
        # Everything random depends on seed, epoch and process only, so a resumed run is the same.
        seed = hash((self.settings.seed, epoch)) & 0x7FFFFFFF
        batches = self._sets[0].passes(self._how, seed, self._processes.rank, self._processes.world)
        rng = np.random.default_rng((seed, self._processes.rank))
        torch.manual_seed(seed + self._processes.rank)
        network.train()
        total = 0.0
        for number, units in enumerate(batches):
            batch = self._sets[0].batch(units, self._how, rng)
            optimiser.zero_grad(set_to_none=True)
            with torch.autocast(self._processes.device.type, enabled=mixed):
                loss = self._loss_of(network, batch)
            scaler.scale(loss).backward()
            if self._how.max_grad_norm > 0:
                scaler.unscale_(optimiser)
                torch.nn.utils.clip_grad_norm_(network.parameters(), self._how.max_grad_norm)
            scaler.step(optimiser)
            scaler.update()
            self._averaging.update()
            total += float(loss.detach())
            self._progress((number + 1) / len(batches), total / (number + 1))
        if not math.isfinite(total):
            raise FloatingPointError(
                f"the loss is not finite in epoch {epoch}: lower training.learning_rate or look at "
                "the data"
            )
        return total / len(batches)

    def _loss_of(
        self, network: torch.nn.Module, batch: dict[str, torch.Tensor], guess: bool = True
    ) -> torch.Tensor:
        batch = {name: tensor.to(self._processes.device) for name, tensor in batch.items()}
        output = network(batch["columns"], batch["embedding"])
        loss = self._loss(self.predictor.network, output.outputs, batch)
        if self.predictor.has_outcome_head:
            loss = loss + self._how.outcome_head_weight * outcome_head_loss(
                self.predictor.network, output.outputs, batch
            )
        if guess and output.scene is not None and "scene" in batch:
            loss = loss + self._how.auxiliary_weight * scene_loss(output.scene, batch)
        return loss

    def _validate(self) -> dict[str, float]:
        network = self.predictor.network.eval()
        rng = np.random.default_rng(0)
        losses, weights = [], []
        with torch.inference_mode():
            for units in self._sets[1].validation(64 if network.by_episode else 8192):
                batch = self._sets[1].batch(units, None, rng)
                losses.append(float(self._loss_of(network, batch, guess=False)))
                weights.append(int(batch["present"].sum()))
        figures = {"validation_loss": float(np.average(losses, weights=weights))}
        return figures | validation_figures(
            self.predictor.raw_scores(self._validation), self._validation
        )

    def _keep(
        self,
        epoch: int,
        figures: dict[str, float],
        optimiser: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.ReduceLROnPlateau,
        scaler: torch.amp.GradScaler,
    ) -> None:
        loss = self._how.monitor == "loss"
        value = figures["validation_loss"] if loss else -figures.get("average_precision", math.nan)
        if not math.isfinite(value):
            raise FloatingPointError(f"the validation loss is not finite in epoch {epoch}")
        better = value < self._best or math.isinf(self._best)
        self._since_best = 0 if better else self._since_best + 1
        self._best = value if better else self._best
        self.history.append(figures)
        if not self._processes.first:
            return
        about = {"training": {"epoch": epoch}, "metrics": {"validation": figures}}
        folders = [BEST] if better else []
        if self._how.keep_every and (epoch + 1) % self._how.keep_every == 0:
            folders.append(f"epoch_{epoch + 1:03d}")
        for folder in folders:
            save_checkpoint(self.predictor, self._output / folder, about)
        numbers = {
            "epoch": epoch,
            "best": self._best,
            "since_best": self._since_best,
            "plateau_best": schedule.best,
            "plateau_bad_epochs": schedule.num_bad_epochs,
            "scaler": scaler.state_dict(),
            "history": self.history,
            "made_of": self._made_of,
        }
        part = save_checkpoint(self.predictor, self._output / f".{LAST}.part", about)
        save_state(part, optimiser, numbers, self._averaging.apart)
        put_in_place(part, self._output / LAST)
        write_json(self._output / "metrics.json", self.history)
        self._record(figures)

    def _resume(
        self,
        optimiser: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.ReduceLROnPlateau,
        scaler: torch.amp.GradScaler,
    ) -> int:
        numbers: dict[str, Any] = load_numbers(self._output / LAST)
        load_optimiser(self._output / LAST, optimiser, numbers["param_groups"])
        if numbers["scaler"]:
            scaler.load_state_dict(numbers["scaler"])
        self.history = numbers["history"]
        self._best = numbers["best"]
        self._since_best = numbers["since_best"]
        schedule.best = numbers["plateau_best"]
        schedule.num_bad_epochs = numbers["plateau_bad_epochs"]
        return numbers["epoch"] + 1
