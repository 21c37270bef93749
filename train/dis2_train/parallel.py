"""Several processes as one: sums over all of them, through which gradients flow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as processes
from torch import Tensor, nn

if TYPE_CHECKING:
    from dis2_train.networks.seam import Frames, Network


def count() -> int:
    """How many processes train together; 1 where none were joined."""
    joined = processes.is_available() and processes.is_initialized()
    return processes.get_world_size() if joined else 1


def summed(values: Tensor) -> Tensor:
    """The sum of `values` over all processes that train together; `values` themselves where there is one.

    Losses that are no mean over images (Dice, cross-entropy over the labelled pixels) are made of such sums: then each
    process holds the loss of the whole batch, and its gradient summed over the processes is `count()` times that of one
    process, which the averaging of gradients in DistributedDataParallel takes back.
    """
    if count() == 1:
        return values
    total: Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]
    return total


class _Sum(torch.autograd.Function):
    """Sum over processes, forward and backward: y = sum of x_r, so dL/dx_r = sum of dL_s/dy over the processes s."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.detach().clone(memory_format=torch.contiguous_format)
        processes.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        processes.all_reduce(total)
        return total


def learner(network: Network, world: int) -> nn.Module:
    """What is wrapped for several processes: a module whose forward is the losses of `network`.

    On GPUs its batch norms then see the batches of all processes; on a CPU each process norms by its own share.
    """
    if world > 1 and next(network.parameters()).is_cuda:
        nn.SyncBatchNorm.convert_sync_batchnorm(network)
    return Learner(network)


class Learner(nn.Module):
    """A network that learns: calling it gives its loss terms."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: Frames, target: Tensor, scenario: str, progress: float) -> dict[str, Tensor]:
        """As `Network.losses`."""
        return self.network.losses(frames, target, scenario, progress)


@torch.no_grad()
def same_buffers(network: nn.Module) -> None:
    """Give all processes the first one's running statistics, so that they judge the very same network."""
    if count() > 1:
        for buffer in network.buffers():
            processes.broadcast(buffer, 0)
