"""Several processes as one: sums over all of them, through which gradients flow."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as processes
from torch import Tensor


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
