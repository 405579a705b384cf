# SPDX-License-Identifier: Apache-2.0
"""Settings of a training run, as in its YAML file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from salus_core.calibration.band import SHAPES
from salus_core.calibration.probabilities import CALIBRATIONS
from salus_core.failures import HORIZONS_S, checked_horizons
from salus_core.predictors.registry import kind_of
from salus_core.predictors.settings import SettingsError, build, current_names
from salus_core.predictors.training.losses import LOSSES
from salus_core.signals import SIGNAL_NAMES

MONITORS = ("loss", "average_precision")
PRECISIONS = ("auto", "float32", "mixed")


@dataclass(frozen=True)
class DataSettings:
    """Which episodes are read.

    Attributes:
        runs: runs, folders of runs, or glob patterns; a split may name its own instead.
        splits: "fractions" (of the runs' episodes: see `parts_by_fraction`), "standard" (the table
            of the standard data set), or a YAML file with the splits' seeds.
        train: name of the split to learn from.
        validation: name of the split that rates, schedule and stopping look at.
        calibration: name of the split of calibration and band; empty: neither is made.
        limit: read so many training episodes at most; 0: all.
        horizons: of labels and forecasts [s], ascending; they must not be below a control period.
    """

    runs: tuple[str, ...] = ()
    splits: str = "fractions"
    train: str = "train"
    validation: str = "validation"
    calibration: str = "calibration"
    limit: int = 0
    horizons: tuple[float, ...] = HORIZONS_S

    def __post_init__(self) -> None:
        checked_horizons(self.horizons)


@dataclass(frozen=True)
class TrainingSettings:
    """How a network is trained.

    Attributes:
        loss: one of LOSSES.
        batch_size: episodes per update for networks with a memory, else steps.
        epochs: passes over the training episodes at most.
        updates: of each member of `outcome`, which knows no epochs.
        learning_rate: learning rate of Adam.
        weight_decay: decoupled, of Adam.
        positive_weight: how much more a step (an episode) with a failure counts.
        focal_gamma: of the loss "focal".
        plateau_factor: of the learning rate when the validation loss has not fallen...
        plateau_patience: ...for so many epochs.
        stop_patience: epochs without a better figure after which training stops.
        monitor: figure by which the best epoch is chosen: "loss" or "average_precision" (any
            failure but timeout within the longest horizon), of the validation split.
        max_grad_norm: largest norm of a gradient; 0: not clipped.
        ema_decay: decay per update of a moving average of the weights, which is what is validated
            and kept; 0: the weights as they are.
        positive_fraction: share of failed episodes (of steps before a failure) in the batches; 0:
            as they come.
        auxiliary_weight: of the guess of the ground truth, for networks that make one; 0: none.
        outcome_head_weight: of the cross-entropy of the episode-outcome head, for networks that
            have one.
        linear_probe: bring the latent down to what a regression on the training steps reads of the
            scene off it, and hold that; otherwise that projection is learned with the rest.
            The number of its outputs is then that of the scene's columns.
        time_warp: share of steps that are skipped or shown twice.
        random_start: share of episodes that are shown from a random step on.
        signal_noise: standard deviation of noise on normalised signals and spreads.
        signal_dropout: probability that a signal is not valid throughout an episode.
        precision: "mixed" (CUDA only), "float32", or "auto": mixed where there is CUDA.
        device: "cpu", "cuda" or "auto".
        threads: of torch on the CPU.
        keep_every: epochs between two checkpoints that are kept; 0: none.
        tensorboard: write event files, too.
    """

    loss: str = "bce"
    batch_size: int = 256
    epochs: int = 50
    updates: int = 300
    learning_rate: float = 1e-3
    weight_decay: float = 1e-5
    positive_weight: float = 3.0
    focal_gamma: float = 2.0
    plateau_factor: float = 0.5
    plateau_patience: int = 5
    stop_patience: int = 15
    monitor: str = "loss"
    max_grad_norm: float = 1.0
    ema_decay: float = 0.0
    positive_fraction: float = 0.0
    auxiliary_weight: float = 0.0
    outcome_head_weight: float = 0.1
    linear_probe: bool = False
    time_warp: float = 0.0
    random_start: float = 0.0
    signal_noise: float = 0.0
    signal_dropout: float = 0.0
    precision: str = "auto"
    device: str = "auto"
    threads: int = 1
    keep_every: int = 10
    tensorboard: bool = False

    def __post_init__(self) -> None:
        for name, known in (("loss", LOSSES), ("monitor", MONITORS), ("precision", PRECISIONS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}")
        for name in ("batch_size", "epochs", "updates", "threads", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        for name in (
            "ema_decay",
            "positive_fraction",
            "time_warp",
            "random_start",
            "signal_dropout",
        ):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"{name} must be in [0, 1), got {getattr(self, name)}")

    @property
    def reads_scene(self) -> bool:
        """The ground truth of the training steps is needed."""
        return self.auxiliary_weight > 0 or self.linear_probe


@dataclass(frozen=True)
class CalibrationSettings:
    """What is made of the calibration split.

    Attributes:
        method: one of CALIBRATIONS.
        alpha: false-alarm rate per successful episode that the band guarantees.
        shape: of the band, see ConformalBand.
        failures: names of the failure types that are worth an alarm; empty: of `outcome` all, of
            the others all but timeout.
    """

    method: str = "platt"
    alpha: float = 0.05
    shape: str = "functional"
    failures: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.method not in CALIBRATIONS:
            raise ValueError(f"method must be one of {', '.join(CALIBRATIONS)}")
        if self.shape not in SHAPES:
            raise ValueError(f"shape must be one of {', '.join(SHAPES)}")
        if not 0.0 < self.alpha < 1.0:
            raise ValueError(f"alpha must lie between 0 and 1, got {self.alpha}")


@dataclass(frozen=True)
class RunSettings:
    """A whole training run.

    Attributes:
        predictor: its name, as in the registry.
        output: folder of checkpoints and figures.
        seed: of initial weights, order, dropout and augmentation.
        inputs: groups of inputs; empty: the predictor's own.
        signals: names of the signals that it may see; empty: all twelve.
        network: settings of the network, see each predictor's config.
        data: which episodes.
        training: how.
        calibration: afterwards.
    """

    predictor: str
    output: str = "runs/predictor"
    seed: int = 0
    inputs: tuple[str, ...] = ()
    signals: tuple[str, ...] = ()
    network: dict[str, Any] = field(default_factory=dict)
    data: DataSettings = DataSettings()
    training: TrainingSettings = TrainingSettings()
    calibration: CalibrationSettings = CalibrationSettings()

    @classmethod
    def from_mapping(cls, content: Mapping[str, Any]) -> RunSettings:
        """Fill in the defaults of the predictor that is named; old names of settings are read.

        Raises:
            SettingsError: a setting is unknown, missing or unusable.
        """
        content = current_names(content)
        name = content.get("predictor")
        if not isinstance(name, str):
            raise SettingsError("the settings must name a predictor: predictor=temporal")
        try:
            kind = kind_of(name)
        except ValueError as error:
            raise SettingsError(str(error)) from error
        given = content.get("training", {})
        if not isinstance(given, Mapping):
            raise SettingsError(f"training must be a mapping, got {given!r}")
        training = {"loss": kind.loss, **kind.training, **given}
        settings = build(cls, {**content, "training": training}, "settings")
        build(kind.config, settings.network, "network")
        if settings.training.loss == "survival" and not kind.hazards:
            raise SettingsError("training.loss=survival needs a predictor with hazards: temporal")
        if settings.network.get("outcome_head") and not settings.training.outcome_head_weight > 0:
            raise SettingsError(
                "network.outcome_head is true, but training.outcome_head_weight is not positive: "
                "an alarm would look at what was never learned"
            )
        return settings

    @property
    def input_groups(self) -> tuple[str, ...]:
        """Of the predictor, or as given."""
        return self.inputs or kind_of(self.predictor).inputs

    @property
    def signal_names(self) -> tuple[str, ...]:
        """All twelve, or as given."""
        return self.signals or SIGNAL_NAMES

    def network_config(self) -> Any:
        """Config of the network."""
        return build(kind_of(self.predictor).config, self.network, "network")
