# SPDX-License-Identifier: Apache-2.0
"""Several processes training together, as torchrun starts them; one process otherwise."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import distributed, nn

from salus_core.predictors.settings import SettingsError


@dataclass(frozen=True)
class Processes:
    """This process among those that train together.

    Attributes:
        rank: its number.
        world: how many there are.
        device: that it computes on.
    """

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        """It writes the files."""
        return self.rank == 0

    def wrap(self, network: nn.Module) -> nn.Module:
        """Make gradients the mean over all processes."""
        if self.world == 1:
            return network
        ids = [self.device] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(network, device_ids=ids)

    def mean(self, value: float) -> float:
        """Mean of a number over all processes."""
        if self.world == 1:
            return value
        total = torch.tensor([value], dtype=torch.float64, device=self.device)
        distributed.all_reduce(total)
        return float(total) / self.world


@contextlib.contextmanager
def processes(device: str) -> Iterator[Processes]:
    """Join the processes that WORLD_SIZE, RANK and LOCAL_RANK tell of.

    Args:
        device: "cpu", "cuda" or "auto".

    Raises:
        SettingsError: CUDA is asked for and not there.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    cuda = torch.cuda.is_available()
    if device == "cuda" and not cuda:
        raise SettingsError("training.device is 'cuda', but torch finds none: use 'cpu' or 'auto'")
    if cuda and device != "cpu":
        chosen = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(chosen)
    else:
        chosen = torch.device("cpu")
    if world == 1:
        yield Processes(0, 1, chosen)
        return
    distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Processes(rank, world, chosen)
    finally:
        distributed.destroy_process_group()
