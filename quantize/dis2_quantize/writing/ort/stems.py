"""The first convolution over raw bytes, as ONNX Runtime computes it fast: several columns side by side as channels.

A camera has 3 channels and a radar 1, and ONNX Runtime's fast integer kernel wants its inputs by 4 and its outputs by
16. A frame (H, W, C) is, without moving a byte, one of (H, W / g, g C), and the outputs of g / s neighbouring columns
(s: stride) lie side by side as those of one column with g / s times the channels. So the convolution over groups of
columns, with zeros where an output column does not look, computes the very same integers; 2 to 4 times as many
multiplications, in 0.3 to 0.4 of the time (measured), as nothing is gathered byte by byte.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dis2_quantize.rounding.stem import QuantStem
from dis2_quantize.writing.ort.operators import Step
from dis2_quantize.writing.ort.units import OUTPUTS_AT_ONCE, IntegerConv, filled

GROUPS = (4, 2)
"""Output columns that are made as one, the first that fits."""
MOST_WORK = 64
"""Input times output channels up to which 4 columns are made as one; with more, 2 are faster."""


class ByteStem(IntegerConv):
    """The first convolution over raw bytes; a border of the sensor's mean stands where normalised zeros were padded."""

    mean: Tensor

    def __init__(self, stem: QuantStem, made: Step) -> None:
        super().__init__(stem, Step(1.0, 0), made, stem.raw_bias())
        self.border, self.pad = self.pad, 0
        self.register_buffer("mean", stem.mean.flatten().round().clamp(0, 255).to(torch.uint8))
        own = self.weight[: self.outputs]
        self.columns = self.stride[1] * (GROUPS[0] if own.shape[0] * own.shape[1] <= MOST_WORK else GROUPS[1])
        self.together = self.columns // self.stride[1]  # output columns
        self.outputs *= self.together
        missing = -self.outputs % OUTPUTS_AT_ONCE
        self.kernel_width = own.shape[3]
        self.weight = filled(side_by_side(own, self.stride[1], self.columns), missing)
        self.steps = filled(self.steps[: len(own)].repeat(self.together), missing, 1.0)
        self.bias = filled(self.bias[: len(own)].repeat(self.together), missing)
        self.stride = self.stride[0], 1

    def forward(self, x: Tensor) -> Tensor:
        """Raw frame (1, H, W, channels) uint8 to (1, H / stride, W / stride, outputs) uint8."""
        _, _, width, channels = (int(size) for size in x.shape)
        step = self.columns // self.together
        made = (width + 2 * self.border - self.kernel_width) // step + 1  # output columns that are asked for
        groups = -(-made // self.together)
        right = (groups + self.weight.shape[3] - 1) * self.columns - width - self.border
        rows = bordered(x, self.mean, (self.border, self.border), 1)
        wide = bordered(rows, self.mean, (self.border, right), 2)
        height = int(wide.shape[1])
        out = super().forward(wide.reshape(1, height, groups + self.weight.shape[3] - 1, self.columns * channels))
        out = out.reshape(1, int(out.shape[1]), groups * self.together, self.outputs // self.together)
        return out if groups * self.together == made else out[:, :, :made]


def side_by_side(weight: Tensor, stride: int, columns: int) -> Tensor:
    """(O, C, h, w) with `stride` along columns to (columns / stride O, columns C, h, groups), over groups of columns.

    Channel `column C + c` of a group is channel c of its column; output `place O + o` is output o at that place.
    """
    outputs, channels, height, width = weight.shape
    places = columns // stride
    groups = -(-(columns - stride + width) // columns)
    spread = weight.new_zeros(places, outputs, height, groups * columns, channels)
    for place in range(places):
        start = place * stride
        spread[place, :, :, start : start + width] = weight.permute(0, 2, 3, 1)
    split = spread.reshape(places * outputs, height, groups, columns * channels)
    return split.permute(0, 3, 1, 2).contiguous()


def bordered(x: Tensor, value: Tensor, widths: tuple[int, int], axis: int) -> Tensor:
    """`x` (1, H, W, C) with rows (axis 1) or columns (axis 2) of `value` (C,) before and behind it, so many of each."""
    parts = [x]
    for place, width in zip((0, 2), widths, strict=True):
        if width:
            size = list(x.shape)
            size[axis], size[3] = width, 1
            parts.insert(place, value.repeat(size))
    return torch.cat(parts, dim=axis) if len(parts) > 1 else x
