# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from salus_core.data.testing import make_steps
from salus_core.predictors.training.calibrating import calibrate
from salus_core.predictors.training.configuration import RunSettings
from salus_core.predictors.training.processes import processes
from salus_core.predictors.training.trainer import Trainer


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def steps():
    """Training, validation and test episodes of which the failures can be foreseen."""
    return (
        make_steps(120, seed=1),
        make_steps(40, seed=2, first_seed=1000),
        make_steps(170, seed=3, first_seed=2000),
    )


@pytest.fixture(scope="session")
def train(steps, tmp_path_factory):
    """Train a predictor by name and settings; (predictor, trainer)."""

    def run(name, epochs=8, data=None, resume=False, output=None, **given):
        settings = RunSettings.from_mapping(
            {
                "predictor": name,
                "output": str(output or tmp_path_factory.mktemp(name)),
                **given,
                "training": {
                    "epochs": epochs,
                    "auxiliary_weight": 0.0,
                    **given.get("training", {}),
                },
            }
        )
        with processes("cpu") as workers:
            trainer = Trainer(settings, *(data or steps[:2]), workers)
            return trainer.run(resume), trainer

    return run


@pytest.fixture(scope="session")
def temporal(train, steps):
    predictor, trainer = train("temporal", epochs=10)
    calibrate(predictor, steps[2], trainer.settings.calibration)
    return predictor
