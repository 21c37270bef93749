"""Where integers meet floating point in a file of the `ort` dialect, and what is cheaper there than it looks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dis2_quantize.writing.ort.operators import Average, Restore, Round, Step

WIDEST_PRODUCT = 64
"""Columns up to which enlarging by products of matrices beats Resize, which takes 1.8 ns a value: 0.02 a column."""


class ToIntegers(nn.Module):
    """A map in floating point (B, C, H, W) to integers (B, H, W, C)."""

    def __init__(self, made: Step) -> None:
        super().__init__()
        self.made = made

    def forward(self, x: Tensor) -> Tensor:
        """Rounded first: bytes are moved, not floats."""
        out: Tensor = Round.apply(x, self.made)  # type: ignore[no-untyped-call]
        return out.permute(0, 2, 3, 1)


class ToFloat(nn.Module):
    """Integers (B, H, W, C) to a map in floating point (B, C, H, W)."""

    def __init__(self, read: Step) -> None:
        super().__init__()
        self.read = read

    def forward(self, x: Tensor) -> Tensor:
        """Moved first: bytes are moved, not floats."""
        out: Tensor = Restore.apply(x.permute(0, 3, 1, 2), self.read)  # type: ignore[no-untyped-call]
        return out


class Pointwise(nn.Module):
    """A 1x1 convolution in floating point that reads integers channels last: a product of matrices."""

    def __init__(self, conv: nn.Conv2d, read: Step) -> None:
        super().__init__()
        self.read = read
        self.linear = nn.Linear(conv.in_channels, conv.out_channels)
        bias = torch.zeros(conv.out_channels) if conv.bias is None else conv.bias.detach()
        self.linear.load_state_dict({"weight": conv.weight.detach().flatten(1), "bias": bias})

    def forward(self, x: Tensor) -> Tensor:
        """(1, H, W, inputs) uint8 to (1, outputs, H, W) float."""
        _, height, width, channels = (int(size) for size in x.shape)
        value = Restore.apply(x.reshape(height * width, channels), self.read)  # type: ignore[no-untyped-call]
        out: Tensor = self.linear(value).t()
        return out.reshape(1, -1, height, width)


class IntegerMean(nn.Module):
    """Each channel's mean over the map: integers are summed exactly, and only the mean is a float."""

    def __init__(self, read: Step) -> None:
        super().__init__()
        self.read = read

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) uint8 to (B, C, 1, 1) float."""
        batch, height, width, channels = (int(size) for size in x.shape)
        out: Tensor = Average.apply(x.reshape(batch, height * width, channels), self.read)  # type: ignore[no-untyped-call]
        return out.reshape(batch, channels, 1, 1)


class ProductEnlarge(nn.Module):
    """Bilinear enlargement of a small map in floating point as two products of matrices, rows first."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, factor H, factor W)."""
        height, width = int(x.shape[2]), int(x.shape[3])
        if width > WIDEST_PRODUCT:
            return F.interpolate(x, scale_factor=float(self.factor), mode="bilinear", align_corners=False)
        return torch.matmul(torch.matmul(self._weights(height), x), self._weights(width).t().contiguous())

    def _weights(self, size: int) -> Tensor:
        """(factor size, size): what each new position takes from each old one, half-pixel centres."""
        unit = torch.eye(size)[None]
        return F.interpolate(unit, scale_factor=float(self.factor), mode="linear", align_corners=False)[0].t()
