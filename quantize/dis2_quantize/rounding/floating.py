"""Units in floating point: what the `trt` dialect puts for a unit that carries a norm, or integers for `ort` alone."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from dis2_quantize.rounding.fake import QuantConvUnit
from dis2_train.networks.blocks import ConvUnit, SelfAttention

LEAST_CHANNELS = 16
"""A convolution that reads fewer channels than this stays in FP16: TensorRT's integer kernels want whole groups."""


@runtime_checkable
class OrtOnly(Protocol):
    """A unit that only the `ort` dialect computes with integers."""

    def plain(self) -> nn.Module:
        """The same unit in floating point, with the weights as they are."""


def floating(module: nn.Module) -> nn.Module | None:
    """What computes `module` in the `trt` dialect where that is not `module` itself; else None."""
    if isinstance(module, OrtOnly):
        return module.plain()
    if isinstance(module, ConvUnit):
        return FoldedConvUnit(QuantConvUnit(module))
    if isinstance(module, QuantConvUnit) and module.weight.shape[1] < LEAST_CHANNELS:
        return FoldedConvUnit(module)
    return PlainAttention(module.heads) if isinstance(module, SelfAttention) else None


class FoldedConvUnit(nn.Module):
    """A convolution with folded norm whose weights are not rounded to integers."""

    def __init__(self, unit: QuantConvUnit) -> None:
        super().__init__()
        weight, bias = unit.whole()
        self.weight, self.bias = nn.Parameter(weight.detach().clone()), nn.Parameter(bias.detach().clone())
        self.stride, self.padding, self.dilation, self.act = unit.stride, unit.padding, unit.dilation, unit.act

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        plain = nn.functional.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation)
        out: Tensor = self.act(plain)
        return out


class PlainAttention(nn.Module):
    """A SelfAttention in operators that every engine knows; queries are scaled first, which keeps scores in range."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Queries (B, N, width), keys and values (B, M, width) to (B, N, width)."""
        scale = (int(q.shape[2]) // self.heads) ** -0.5
        q, k, v = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in (q * scale, k, v))
        weights = torch.matmul(q, k.transpose(2, 3)).softmax(dim=3)  # (B, heads, N, M)
        return torch.matmul(weights, v).transpose(1, 2).flatten(2)
