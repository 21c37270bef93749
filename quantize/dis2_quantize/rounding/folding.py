"""Batch norm inside a convolution: folded into its weights, or kept alive beside them while a student is tuned."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dis2_edge.errors import InternalError
from dis2_train.networks.blocks import ConvUnit


def folded(unit: ConvUnit) -> tuple[Tensor, Tensor]:
    """Weight and bias of one convolution that equals the unit's convolution and its batch norm in eval mode."""
    weight, bias = fold(unit.conv.weight, unit.norm)
    return weight.detach().clone(), bias.detach().clone()


def fold(weight: Tensor, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight (O, I, h, w) times the norm's gain, and the bias (O,) that its statistics leave; gradients pass."""
    if norm.running_mean is None or norm.running_var is None:
        raise InternalError("a unit's batch norm keeps no statistics, so it cannot be folded")
    gain = _gain(norm, norm.running_var)
    return weight * gain[:, None, None, None], norm.bias - norm.running_mean * gain


def normalise_by_batch(rounded: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    """What the norm in training makes of the convolution with *folded* weights, `rounded` (B, O, H, W).

    Weights are folded, and rounded, by the running statistics, so that their steps do not jump from batch to batch;
    the output is taken back to the norm's input and normalised by the batch's own (arXiv 1806.08342, section 3.2.2).
    The running statistics move.
    """
    assert norm.running_var is not None
    gain = _gain(norm, norm.running_var)
    # A channel whose gain is 0 has weights of 0: there is nothing to take back.
    gain = torch.where(gain == 0, torch.ones_like(gain), gain)
    out: Tensor = norm(rounded / gain[None, :, None, None])
    return out


def _gain(norm: nn.BatchNorm2d, variance: Tensor) -> Tensor:
    return norm.weight / torch.sqrt(variance + norm.eps)
