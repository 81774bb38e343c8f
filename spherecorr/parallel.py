"""Several processes that train as one: those that `accelerate launch` started, or this one alone."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed

from spherecorr.device import pick_device
from spherecorr.errors import SpherecorrError

PATIENCE = timedelta(days=2)  # of processes that wait while the main one stores features


@dataclass(frozen=True)
class Processes:
    """What a process knows of the others.

    Attributes:
        index: of this process.
        count: of all.
        device: of this process.
    """

    index: int
    count: int
    device: torch.device

    @property
    def main(self) -> bool:
        """True for the one that writes files and shows progress."""
        return self.index == 0

    def shard(self, batch: Tensor) -> Tensor:
        """This process's part of a batch, equally large for all."""
        return batch.chunk(self.count)[self.index]

    def all_gather(self, part: Tensor) -> Tensor:
        """The parts of all processes in one batch; gradients reach this process's part only."""
        if self.count == 1:
            return part
        # Not every backend knows bool.
        sent = (part.byte() if part.dtype == torch.bool else part.detach()).contiguous()
        parts = [torch.empty_like(sent) for _ in range(self.count)]
        distributed.all_gather(parts, sent)
        parts = [received.to(part.dtype) for received in parts]
        parts[self.index] = part
        return torch.cat(parts)

    def all_reduce(self, values: Tensor) -> Tensor:
        """The sum over all processes, without gradient."""
        values = values.detach().clone()
        if self.count > 1:
            distributed.all_reduce(values)
        return values

    def all_reduce_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Put the sum over all processes in the place of every gradient."""
        if self.count == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        total = self.all_reduce(torch.cat([gradient.flatten() for gradient in gradients]))
        for gradient, value in zip(gradients, total.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(value.view_as(gradient))

    def barrier(self) -> None:
        """Wait until all processes have come here."""
        if self.count > 1:
            distributed.barrier()


def join_processes(device: str = "auto") -> Processes:
    """Find the other processes.

    Args:
        device: "auto", "cpu", "cuda", ... of a process that is alone; of several, each takes its own, or all the CPU.

    Raises:
        SpherecorrError: there are several, and no accelerate.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Processes(0, 1, pick_device(device))
    try:
        from accelerate import PartialState
    except ModuleNotFoundError as error:
        raise SpherecorrError('Several processes need the package accelerate: pip install -e ".[train]".') from error
    # Told of no GPU, accelerate takes its processes for one each.
    state = PartialState(cpu=pick_device(device).type == "cpu", timeout=PATIENCE)
    return Processes(state.process_index, state.num_processes, state.device)
