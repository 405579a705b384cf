# SPDX-License-Identifier: Apache-2.0
"""The network that is trained, and the one that is kept: a moving average of its weights."""

from __future__ import annotations

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from salus_core.predictors.network import Network


class Averaging:
    """An exponential moving average over the updates (Polyak and Juditsky 1992).

    The few failures pull the weights to and fro from batch to batch; their average forecasts better
    than any of them.

    Args:
        network: to begin with; on the device that it is trained on.
        decay: of the average per update; 0: none, the network itself is kept.

    Attributes:
        learner: the network that the optimiser changes.
        kept: the network that is validated and saved.
    """

    def __init__(self, network: Network, decay: float):
        self.learner = self.kept = network
        self._average: AveragedModel | None = None
        if decay > 0:
            self._average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay))
            self.kept = self._average.module

    @property
    def apart(self) -> nn.Module | None:
        """The learner if it is not what is kept."""
        return None if self._average is None else self.learner

    def update(self) -> None:
        """Take in an update of the learner."""
        if self._average is not None:
            self._average.update_parameters(self.learner)

    def resume(self) -> None:
        """Go on from a kept network and a learner that were loaded: neither is the first."""
        if self._average is not None:
            self._average.n_averaged.fill_(1)
