"""Batch norm behind a convolution as a gain and a bias of each channel, and whose weights a unit has."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dis2_edge.errors import InternalError
from dis2_train.networks.blocks import ConvUnit


def folded(unit: ConvUnit) -> tuple[Tensor, Tensor]:
    """Weight and bias of one convolution that equals the unit's convolution and its batch norm in eval mode."""
    gain, bias = gain_and_bias(unit.norm)
    return (unit.conv.weight * gain[:, None, None, None]).detach().clone(), bias.detach().clone()


def gain_and_bias(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """What a norm makes of a channel x by its running statistics: gain x + bias, (O,) each; gradients pass."""
    if norm.running_mean is None or norm.running_var is None:
        raise InternalError("a unit's batch norm keeps no statistics, so it cannot be folded")
    gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return gain, norm.bias - norm.running_mean * gain


def source_of(unit: ConvUnit) -> tuple[nn.Conv2d, Tensor | None, Tensor | None]:
    """The convolution that holds the unit's weights, which of its outputs the unit has, and its inputs in order."""
    if unit.cut is None:
        return unit.conv, None, None
    rows, columns = (None if taken is None else torch.tensor(taken) for taken in (unit.cut.outputs, unit.cut.inputs))
    return unit.cut.conv, rows, columns
