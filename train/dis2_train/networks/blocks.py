"""The few building blocks that our own networks are made of, chosen so that a quantiser can see and fold each one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Cut:
    """What a convolution was cut from: its weights are some rows and columns of another's."""

    conv: nn.Conv2d
    """The convolution that holds all of the weights."""
    outputs: tuple[int, ...] | None = None
    """Which of its output channels are computed, in order; None is all."""
    inputs: tuple[int, ...] | None = None
    """The order in which its input channels come; None is its own."""


class ConvUnit(nn.Module):
    """Convolution with zero padding, batch norm, and a ReLU unless `act` is False; it becomes one integer operator."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, act: bool = True, dilation: int = 1
    ) -> None:
        super().__init__()
        padding = (kernel - stride + 1) // 2 * dilation
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.act = nn.ReLU() if act else nn.Identity()
        self.cut: Cut | None = None

    @classmethod
    def of(cls, conv: nn.Module, norm: nn.Module, act: bool = True) -> ConvUnit:
        """A unit around a convolution and a batch norm that exist already; no weight is drawn for it."""
        unit = cls.__new__(cls)
        nn.Module.__init__(unit)
        unit.conv, unit.norm = conv, norm  # type: ignore[assignment]
        unit.act, unit.cut = nn.ReLU() if act else nn.Identity(), None
        return unit

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        out: Tensor = self.act(self.norm(self.conv(x)))
        return out


class ScenarioUnit(nn.Module):
    """A convolution shared by all scenarios, with a batch norm of each scenario's own."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, scenarios: tuple[str, ...]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, (kernel - stride + 1) // 2, bias=False)
        self.norms = nn.ModuleDict({scenario: nn.BatchNorm2d(outputs) for scenario in scenarios})

    def at(self, scenario: str) -> ConvUnit:
        """The plain unit of one scenario, sharing weights with this one."""
        return ConvUnit.of(self.conv, self.norms[scenario])


class Enlarge(nn.Module):
    """Bilinear enlargement by a whole factor, half-pixel centres: ONNX Resize, mode linear."""

    def __init__(self, factor: int = 2) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, factor H, factor W)."""
        return F.interpolate(x, scale_factor=float(self.factor), mode="bilinear", align_corners=False)


class Concat(nn.Module):
    """Channels of several maps behind each other."""

    def forward(self, *maps: Tensor) -> Tensor:
        """Maps (B, C_i, H, W) to (B, sum of C_i, H, W)."""
        return torch.cat(maps, dim=1)


class Add(nn.Module):
    """Sum of two maps, then ReLU: a residual joint that integers can compute."""

    def __init__(self) -> None:
        super().__init__()
        self.act = nn.ReLU()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Two maps (B, C, H, W) to one; `x` may hold K maps for each one of `y`: (B K, C, H, W) with (B, C, H, W)."""
        if x.shape[0] != y.shape[0] and y.shape[0] != 1:
            y = y.repeat_interleave(x.shape[0] // y.shape[0], dim=0)
        out: Tensor = self.act(x + y)
        return out


class ImageMean(nn.Module):
    """Each channel's mean over the whole map, which a quantiser may take from the sum of its integers."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, 1, 1)."""
        return x.mean(dim=(2, 3), keepdim=True)


class Strips(Concat):
    """Columns of two maps in turn: even ones of the first, odd ones of the second. It moves numbers and makes none."""

    def forward(self, *maps: Tensor) -> Tensor:
        """Two maps (B, C, H, W) to one; of the first the columns w with w mod 2 = 0."""
        even, odd = maps
        first = torch.arange(even.shape[3], device=even.device) % 2 == 0
        return torch.where(first, even, odd)


class Channels(nn.Module):
    """A run of channels, `start` up to `stop`."""

    def __init__(self, start: int, stop: int) -> None:
        super().__init__()
        self.start, self.stop = start, stop

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, stop - start, H, W)."""
        return x[:, self.start : self.stop]


class Regroup(nn.Module):
    """(B K, C, H, W) to (B, K C, H, W): maps that were computed as one batch, side by side."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        """(B K, C, H, W) to (B, K C, H, W)."""
        split: Tensor = x.unflatten(0, (-1, self.groups))
        return split.flatten(1, 2)


class SelfAttention(nn.Module):
    """softmax(Q K' / sqrt(d)) V over several heads; without weights, so that an engine may put its own kernel here."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Queries (B, N, width), keys and values (B, M, width) to (B, N, width)."""
        q, k, v = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
