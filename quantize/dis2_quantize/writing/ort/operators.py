"""ONNX Runtime's integer operators, as torch computes them and as they are written to a file.

Each `forward` does what the operator's documentation says, so that a graph of them can be compared with the network it
stands for. While a file is written only shapes are asked for. Maps are (B, H, W, C), unsigned 8 bits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

HIGHEST = 255


class Step(NamedTuple):
    """How the integers of a tensor are meant: value = scale * (integer - zero)."""

    scale: float
    """Size of one step, in the tensor's unit."""
    zero: int
    """The integer that means 0."""


class Convolve(torch.autograd.Function):
    """QLinearConv, channels last: integers in, integers out, bias in the steps of the sums."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        read: Step,
        weight: Tensor,
        steps: Tensor,
        made: Step,
        bias: Tensor,
        stride: tuple[int, int],
        pad: int,
        rate: int,
    ) -> Tensor:
        """(B, H, W, inputs); weight (outputs, inputs, k, k) int8, bias (outputs,) int32: to (B, H', W', outputs)."""
        if torch.onnx.is_in_onnx_export():
            side = [_reached(x.shape[axis + 1], weight.shape[axis + 2], stride[axis], pad, rate) for axis in (0, 1)]
            return x.new_zeros(x.shape[0], *side, weight.shape[0])
        centred = x.permute(0, 3, 1, 2).double() - read.zero
        sums = F.conv2d(centred, weight.double(), bias.double(), stride, pad, rate)
        return to_integers(sums * (read.scale * steps.double().view(-1, 1, 1)), made).permute(0, 2, 3, 1)

    @staticmethod
    def symbolic(
        graph: Any,
        x: Any,
        read: Step,
        weight: Any,
        steps: Any,
        made: Step,
        bias: Any,
        stride: tuple[int, int],
        pad: int,
        rate: int,
    ) -> Any:
        """The node that the file gets."""
        size = weight.type().sizes()
        zeros = constant(graph, torch.zeros(size[0], dtype=torch.int8))
        inputs = [x, *_step(graph, read), weight, steps, zeros, *_step(graph, made), bias]
        shape = _moved(x, stride, pad, rate, size)
        attributes = {"kernel_shape_i": size[2:], "strides_i": list(stride), "pads_i": [pad] * 4, "channels_last_i": 1}
        if rate > 1:
            attributes["dilations_i"] = [rate] * 2
        return _typed(graph.op("com.microsoft::QLinearConv", *inputs, **attributes), x, shape)


class Sum(torch.autograd.Function):
    """QLinearAdd: two maps, each with its own step, to a third step; `y` may stand for every map of `x`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, first: Step, y: Tensor, second: Step, made: Step) -> Tensor:
        """(B, H, W, C) and (B or 1, H, W, C) to (B, H, W, C)."""
        if torch.onnx.is_in_onnx_export():
            return torch.zeros_like(x)
        return to_integers(to_values(x, first) + to_values(y, second), made)

    @staticmethod
    def symbolic(graph: Any, x: Any, first: Step, y: Any, second: Step, made: Step) -> Any:
        """The node that the file gets."""
        inputs = [x, *_step(graph, first), y, *_step(graph, second), *_step(graph, made)]
        return _typed(graph.op("com.microsoft::QLinearAdd", *inputs), x, x.type().sizes())


class Multiply(torch.autograd.Function):
    """MatMulIntegerToFloat: tokens in integers times weights in integers, floating point out."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, read: Step, weight: Tensor, steps: Tensor, bias: Tensor) -> Tensor:
        """(B, N, inputs) uint8 with weight (inputs, outputs) int8 to (B, N, outputs) float32."""
        if torch.onnx.is_in_onnx_export():
            return bias.new_zeros(*x.shape[:-1], weight.shape[1])
        sums = (x.double() - read.zero) @ weight.double()
        return (sums * (read.scale * steps.double())).float() + bias

    @staticmethod
    def symbolic(graph: Any, x: Any, read: Step, weight: Any, steps: Any, bias: Any) -> Any:
        """The node that the file gets."""
        scale, zero = _step(graph, read)
        zeros = constant(graph, torch.zeros(weight.type().sizes()[1], dtype=torch.int8))
        out = graph.op("com.microsoft::MatMulIntegerToFloat", x, weight, scale, steps, zero, zeros, bias)
        return out.setType(bias.type().with_sizes([*x.type().sizes()[:-1], weight.type().sizes()[1]]))


class Average(torch.autograd.Function):
    """MatMulIntegerToFloat of ones with a map: its mean over positions, from an exact sum of its integers."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, read: Step) -> Tensor:
        """(B, N, C) uint8 to (B, 1, C) float32."""
        return to_values(x, read).mean(dim=1, keepdim=True).float()

    @staticmethod
    def symbolic(graph: Any, x: Any, read: Step) -> Any:
        """The node that the file gets."""
        batch, count, channels = x.type().sizes()
        ones, share = torch.ones(batch, 1, count, dtype=torch.uint8), torch.tensor(1 / count)
        nought = constant(graph, torch.tensor(0, dtype=torch.uint8))
        scale, zero = _step(graph, read)
        inputs = [constant(graph, ones), x, constant(graph, share), scale, nought, zero]
        out = graph.op("com.microsoft::MatMulIntegerToFloat", *inputs)
        return out.setType(x.type().with_dtype(torch.float32).with_sizes([batch, 1, channels]))


class Round(torch.autograd.Function):
    """QuantizeLinear to unsigned 8 bits."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, made: Step) -> Tensor:
        """Any float tensor to uint8 of the same shape."""
        return to_integers(x, made)

    @staticmethod
    def symbolic(graph: Any, x: Any, made: Step) -> Any:
        """The node that the file gets."""
        out = graph.op("QuantizeLinear", x, *_step(graph, made))
        return out.setType(x.type().with_dtype(torch.uint8))


class Restore(torch.autograd.Function):
    """DequantizeLinear from unsigned 8 bits."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, read: Step) -> Tensor:
        """Any uint8 tensor to float32 of the same shape."""
        return to_values(x, read).float()

    @staticmethod
    def symbolic(graph: Any, x: Any, read: Step) -> Any:
        """The node that the file gets."""
        out = graph.op("DequantizeLinear", x, *_step(graph, read))
        return out.setType(x.type().with_dtype(torch.float32))


def to_integers(values: Tensor, made: Step) -> Tensor:
    """The integers 0..255 that `values` are rounded to, half to even."""
    return (torch.round(values / made.scale) + made.zero).clamp(0, HIGHEST).to(torch.uint8)


def to_values(integers: Tensor, read: Step) -> Tensor:
    """What `integers` mean, in float64."""
    return (integers.double() - read.zero) * read.scale


def constant(graph: Any, value: Tensor) -> Any:
    """A constant in the file."""
    return graph.op("Constant", value_t=value)


def _step(graph: Any, step: Step) -> tuple[Any, Any]:
    scale = constant(graph, torch.tensor(step.scale, dtype=torch.float32))
    return scale, constant(graph, torch.tensor(step.zero, dtype=torch.uint8))


def _typed(out: Any, x: Any, shape: list[int]) -> Any:
    return out.setType(x.type().with_dtype(torch.uint8).with_sizes(shape))


def _reached(size: int, kernel: int, stride: int, pad: int, rate: int) -> int:
    """Outputs of a convolution along a side of `size`."""
    return (size + 2 * pad - rate * (kernel - 1) - 1) // stride + 1


def _moved(x: Any, stride: tuple[int, int], pad: int, rate: int, weight: list[int]) -> list[int]:
    batch, height, width, _ = x.type().sizes()
    rows, columns = (
        _reached(size, weight[axis + 2], stride[axis], pad, rate) for axis, size in enumerate((height, width))
    )
    return [batch, rows, columns, weight[0]]
