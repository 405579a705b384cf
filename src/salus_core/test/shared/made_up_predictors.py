# SPDX-License-Identifier: Apache-2.0
"""Fixtures of several packages: steps that were drawn, and checkpoints that nobody trained."""

import numpy as np
import pytest
import torch

from salus_core.data.testing import make_steps
from salus_core.predictors.checkpoint import save_checkpoint
from salus_core.predictors.training.calibrating import calibrate
from salus_core.predictors.training.configuration import CalibrationSettings, RunSettings
from salus_core.predictors.training.trainer import make_predictor


@pytest.fixture(scope="session")
def data():
    """Steps whose tool poses are poses."""
    steps = make_steps(100, seed=7)
    steps.proprioception[:, -4:] /= np.linalg.norm(
        steps.proprioception[:, -4:], axis=1, keepdims=True
    )
    return steps


@pytest.fixture(scope="session")
def checkpoint(data, tmp_path_factory):
    """Of `temporal` by name, with weights that were drawn, not trained, and a band."""

    def make(name="temporal", **settings):
        predictor = make_predictor(RunSettings.from_mapping({"predictor": name, **settings}), data)
        torch.manual_seed(0)
        for parameter in predictor.network.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.1)
        if predictor.gives_forecasts:
            calibrate(predictor, data, CalibrationSettings(method="none", alpha=0.1))
        return save_checkpoint(predictor, tmp_path_factory.mktemp(name))

    return make
