"""What a network costs in flight: operations and parameters of the module that one scenario runs."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from dis2_train.networks.seam import Network

GIGA = 1e9


@dataclass(frozen=True)
class Cost:
    """What one scenario's network costs for one image."""

    parameters: int
    """Trained numbers in the module that flies; running statistics of norms fold away and do not count."""
    gflop: float
    """10^9 operations at the task's grid, batch 1: 2 for each multiply-add of convolutions, linear layers, matrix
    products and attention. Norms, activations, sums and enlarging are left out, as is usual."""


def cost(network: Network, scenario: str) -> Cost:
    """Count what `network.deployable(scenario)` does for one image of the task's grid.

    Nothing is computed: shapes alone are passed through a copy, so `network` keeps its mode and statistics.
    """
    flown = copy.deepcopy(network.deployable(scenario)).to("meta").eval()
    height, width = network.task.grid
    shapes = [(1, sensor.channels, height, width) for sensor in network.task.used(scenario)]
    frames = [torch.empty(shape, device="meta") for shape in shapes]
    parameters = sum(p.numel() for p in flown.parameters())
    for module in list(flown.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):  # folds away in flight, and is slow to pass shapes through
                setattr(module, name, nn.Identity())
    return Cost(parameters, operations(flown, *frames) / GIGA)


def operations(module: nn.Module, *inputs: Tensor) -> int:
    """Operations of one call, 2 for each multiply-add.

    Attention is made to run as its two matrix products: the counter does not know every fused kernel of it.
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            module(*inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return int(counter.get_total_flops())
