"""The units of a network in integers, channels last: what each becomes in a file of the `ort` dialect."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dis2_quantize.rounding.fake import ActivationQuant, QuantConvUnit
from dis2_quantize.rounding.kernel import SIGNED_STEPS
from dis2_quantize.rounding.linear import QuantLinear
from dis2_quantize.writing.ort.operators import Convolve, Multiply, Restore, Round, Step, Sum

OUTPUTS_AT_ONCE = 16
"""ONNX Runtime's fast kernel makes this many outputs at once; any other number takes up to three times as long
(measured: 128 to 49 channels takes as long as 128 to 128), so what is missing is filled up with zeros."""

LARGEST_SUM = 2.0**30
"""Largest bias in steps of a convolution's sums: half of int32; 127 times 255 over 66,000 inputs is the other half."""


def step_of(rounding: ActivationQuant) -> Step:
    """The step of an unsigned byte that `rounding` rounds to."""
    return Step(rounding.scale, 128 if rounding.signed else 0)


class IntegerConv(nn.Module):
    """A convolution with everything that was folded into it; a ReLU is the lower end of its output's range."""

    weight: Tensor
    steps: Tensor
    bias: Tensor

    def __init__(self, unit: QuantConvUnit, read: Step, made: Step, bias: Tensor | None = None) -> None:
        super().__init__()
        self.read, self.made, self.outputs = read, made, len(unit.weight)
        self.pad, self.rate = int(unit.padding[0]), int(unit.dilation[0])
        self.stride = int(unit.stride[0]), int(unit.stride[1])
        steps, offset = unit.steps, (unit.whole()[1] if bias is None else bias).detach()
        whole, steps = reachable(unit.integers(), steps, offset, read.scale)
        sums = (offset.double() / (read.scale * steps.double())).round()
        missing = -self.outputs % OUTPUTS_AT_ONCE
        self.register_buffer("weight", filled(whole, missing))
        self.register_buffer("steps", filled(steps, missing, 1.0).float())
        self.register_buffer("bias", filled(sums, missing).to(torch.int32))

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, inputs) to (B, H / stride, W / stride, outputs), both uint8."""
        parts = self.weight, self.steps, self.made, self.bias, self.stride, self.pad, self.rate
        out: Tensor = Convolve.apply(x, self.read, *parts)  # type: ignore[no-untyped-call]
        return out[..., : self.outputs] if self.outputs % OUTPUTS_AT_ONCE else out


def reachable(integers: Tensor, steps: Tensor, bias: Tensor, read: float) -> tuple[Tensor, Tensor]:
    """Weights and steps of a convolution whose biases, in steps of its sums, fit in int32 with room for the sums.

    A norm whose gain is nearly nothing leaves a channel with tiny steps and a bias that is not tiny. Such a channel
    gets coarser steps: against its bias its weights say nothing.
    """
    least = (bias.abs().double() / (read * LARGEST_SUM)).float()
    coarse = torch.maximum(steps, least)
    weight = integers * (steps / coarse).view(-1, 1, 1, 1)
    return weight.round().to(torch.int8), coarse


class IntegerAdd(nn.Module):
    """A sum of two maps; its ReLU is the lower end of its output's range."""

    def __init__(self, first: Step, second: Step, made: Step) -> None:
        super().__init__()
        self.steps = first, second, made

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """(B, H, W, C) and (B or 1, H, W, C) to (B, H, W, C), all uint8."""
        first, second, made = self.steps
        out: Tensor = Sum.apply(x, first, y, second, made)  # type: ignore[no-untyped-call]
        return out


class IntegerConcat(nn.Module):
    """Channels of several maps behind each other: a copy where they share one step, else rounded anew."""

    def __init__(self, read: tuple[Step, ...], made: Step) -> None:
        super().__init__()
        self.read, self.made = read, made

    def forward(self, *maps: Tensor) -> Tensor:
        """Maps (B, H, W, C_i) to (B, H, W, sum of C_i), all uint8."""
        same = [x if step == self.made else self._again(x, step) for x, step in zip(maps, self.read, strict=True)]
        return torch.cat(same, dim=3)

    def _again(self, x: Tensor, step: Step) -> Tensor:
        value = Restore.apply(x, step)  # type: ignore[no-untyped-call]
        out: Tensor = Round.apply(value, self.made)  # type: ignore[no-untyped-call]
        return out


class IntegerStrips(nn.Module):
    """Columns of two maps in turn: a copy where both share one step with what is made, else rounded anew."""

    def __init__(self, read: tuple[Step, ...], made: Step) -> None:
        super().__init__()
        self.join = IntegerConcat(read, made)

    def forward(self, even: Tensor, odd: Tensor) -> Tensor:
        """Two maps (B, H, W, C), W even, to one, all uint8."""
        batch, height, width, channels = (int(size) for size in even.shape)
        pairs = [x.reshape(batch, height, width // 2, 2, channels) for x in (even, odd)]
        apart = (batch, height, width // 2, channels)
        halves = [pairs[0][:, :, :, :1].reshape(apart), pairs[1][:, :, :, 1:].reshape(apart)]
        out: Tensor = self.join(*halves)
        return out.reshape(batch, height, width, channels)


class IntegerChannels(nn.Module):
    """A run of channels."""

    def __init__(self, start: int, stop: int) -> None:
        super().__init__()
        self.start, self.stop = start, stop

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to (B, H, W, stop - start), both uint8."""
        return x[..., self.start : self.stop]


class IntegerEnlarge(nn.Module):
    """Bilinear enlargement by 2 as weighted sums of neighbours, rows first, then columns.

    Half-pixel centres make every new value 3/4 of one neighbour and 1/4 of the other. As sums of integers that takes a
    quarter of the time of ONNX Runtime's integer Resize, for one more rounding in between.
    """

    def __init__(self, step: Step) -> None:
        super().__init__()
        self.near, self.far = Step(0.75 * step.scale, step.zero), Step(0.25 * step.scale, step.zero)
        self.step = step

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to (B, 2 H, 2 W, C), both uint8."""
        batch, height, width, channels = (int(size) for size in x.shape)
        rows = torch.stack([part.flatten(2) for part in self._halves(x, 1)], dim=2)  # (B, H, 2, W C)
        tall = rows.reshape(batch, 2 * height, width, channels)
        columns = torch.stack(self._halves(tall, 2), dim=3)  # (B, 2 H, W, 2, C)
        return columns.reshape(batch, 2 * height, 2 * width, channels)

    def _halves(self, x: Tensor, axis: int) -> list[Tensor]:
        """The new values before and behind each old one along `axis`; beyond the edge stands the edge itself."""
        size = int(x.shape[axis])
        first, last = x.narrow(axis, 0, 1), x.narrow(axis, size - 1, 1)
        before = torch.cat([first, x.narrow(axis, 0, size - 1)], dim=axis)
        behind = torch.cat([x.narrow(axis, 1, size - 1), last], dim=axis)
        return [
            Sum.apply(x, self.near, other, self.far, self.step)  # type: ignore[no-untyped-call]
            for other in (before, behind)
        ]


class IntegerRegroup(nn.Module):
    """(B K, H, W, C) to (B, H, W, K C): maps of the classes side by side."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        """One image's maps (K, H, W, C) to (1, H, W, K C)."""
        _, height, width, channels = (int(size) for size in x.shape)
        return x.permute(1, 2, 0, 3).reshape(1, height, width, self.groups * channels)


class IntegerLinear(nn.Module):
    """A linear layer whose input is rounded on the spot and whose output is floating point."""

    weight: Tensor
    steps: Tensor
    bias: Tensor

    def __init__(self, linear: QuantLinear) -> None:
        super().__init__()
        self.read = step_of(linear.input)
        whole = (linear.weight.detach() / linear.steps[:, None]).round().clamp(-SIGNED_STEPS, SIGNED_STEPS)
        self.register_buffer("weight", whole.t().contiguous().to(torch.int8))
        self.register_buffer("steps", linear.steps.detach().clone())
        self.register_buffer("bias", linear.bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) float to (..., outputs) float."""
        integers = Round.apply(x, self.read)  # type: ignore[no-untyped-call]
        out: Tensor = Multiply.apply(integers, self.read, self.weight, self.steps, self.bias)  # type: ignore[no-untyped-call]
        return out


def filled(x: Tensor, missing: int, value: float = 0.0) -> Tensor:
    """`x` with `missing` more rows of `value`."""
    return torch.cat([x, x.new_full((missing, *x.shape[1:]), value)]) if missing else x
