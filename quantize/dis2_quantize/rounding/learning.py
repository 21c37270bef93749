"""Learned scales: steps that are trained with the weights, by the gradient of LSQ (arXiv 1902.08153)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

FARTHEST = 3.0
"""A range may change by a factor of e^3, about 20, either way: enough for any, and never 0 or infinite."""


class Change(nn.Module):
    """A positive factor on what calibration found, 1 at first.

    Its logarithm is what is trained (as in arXiv 1903.08066): the factor stays positive, and one learning rate serves
    ranges of any size.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.log = nn.Parameter(torch.zeros(shape))

    def forward(self, found: Tensor) -> Tensor:
        """`found` times the factor, of the same shape."""
        return found * self.log.clamp(-FARTHEST, FARTHEST).exp()


def round_tensor(x: Tensor, scale: Tensor, zero_point: int, least: int, most: int) -> Tensor:
    """Activations (B, ...) rounded with one step `scale` (), which gets a gradient too, by 1 / sqrt(N Q) of LSQ.

    Gives the values of `torch.fake_quantize_per_tensor_affine`; the exporter knows only that one.
    """
    zeros = torch.full((1,), float(zero_point), device=x.device)
    share = _share(x[0].numel(), most - zero_point)
    out: Tensor = torch._fake_quantize_learnable_per_tensor_affine(x, scale.view(1), zeros, least, most, share)
    return out


def round_channels(weight: Tensor, steps: Tensor, most: int) -> Tensor:
    """Weights (O, I, h, w) rounded to -most..most with one step a channel, `steps` (O,), which get a gradient too."""
    zeros = torch.zeros_like(steps)
    share = _share(weight[0].numel(), most)
    out: Tensor = torch._fake_quantize_learnable_per_channel_affine(weight, steps, zeros, 0, -most, most, share)
    return out


def _share(values: int, most: int) -> float:
    """LSQ's gradient scale, by which a step learns at the pace of the values that it rounds (its section 2.2)."""
    return float((values * most) ** -0.5)
