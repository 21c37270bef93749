"""Half precision arithmetic, operator by operator: what torch computes if FP16 holds every intermediate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from dis2_quantize.judging.ranges import Range, Ranges
from dis2_quantize.rounding.form import Float
from dis2_quantize.rounding.halfway import LEAST_NORMAL, half

_ATEN = torch.ops.aten


class Arithmetic(TorchDispatchMode):
    """While it is on, each float32 result is looked at and, where the place computes in FP16, rounded to half."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.unit, self.path = "", [""]
        self.kind: Float = "fp32"
        self.images = 0
        self._rows: dict[tuple[str, str], Range] = {}

    @property
    def ranges(self) -> Ranges:
        """What was seen so far."""
        return Ranges(tuple(self._rows.values()), self.images)

    def enter(self, unit: str, kind: Float) -> None:
        """From now on results belong to the node `unit`, which computes in `kind`."""
        self.unit, self.kind, self.path = unit, kind, [unit]

    def keep(self, x: Tensor, what: str) -> Tensor:
        """`x` as the place's type holds it, after its range was noted."""
        if x.dtype != torch.float32 or not x.numel():
            return x
        self.note(x, what)
        return half(x) if self.kind == "fp16" else x

    def note(self, x: Tensor, what: str) -> None:
        """Take the range of `x` into account under the name of the innermost module and `what`."""
        tensor = f"{self.path[-1]}/{what}"
        row = self._rows.setdefault((self.unit, tensor), Range(self.unit, tensor, self.kind))
        low, high = torch.aminmax(x.detach())
        largest = max(-float(low), float(high))
        row.largest = max(row.largest, largest if largest < float("inf") else float("inf"))  # nan compares false
        if self.kind == "fp16":
            nonzero = int(torch.count_nonzero(x))
            row.nonzero += nonzero
            row.lost += int(torch.count_nonzero(x.detach().abs() < LEAST_NORMAL)) - (x.numel() - nonzero)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if self.kind == "fp16":
            if func in _APART:
                return _APART[func](self, *args, **(kwargs or {}))
            if torch.Tag.pointwise in func.tags:
                args = (args[0], *(_constant(value) for value in args[1:]))
        out = func(*args, **(kwargs or {}))
        if func.is_view:
            return out
        name = func.overloadpacket.__name__
        if func._schema.is_mutable:
            return tree_map(lambda x: x.copy_(self.keep(x, name)) if isinstance(x, Tensor) else x, out)
        return tree_map(lambda x: self.keep(x, name) if isinstance(x, Tensor) else x, out)


def _softmax(arithmetic: Arithmetic, x: Tensor, dim: int, half_to_float: bool) -> Tensor:
    """exp(x - max) / sum, each step rounded."""
    shifted = arithmetic.keep(x - x.amax(dim, keepdim=True), "softmax difference")
    raised = arithmetic.keep(shifted.exp(), "softmax exponential")
    total = arithmetic.keep(raised.sum(dim, keepdim=True), "softmax sum")
    return arithmetic.keep(raised / total, "softmax")


def _layer_norm(
    arithmetic: Arithmetic, x: Tensor, shape: list[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """(x - mean) / sqrt(variance + eps) * weight + bias, each step rounded; the squares are what overflows first."""
    dims = list(range(-len(shape), 0))
    mean = arithmetic.keep(x.mean(dims, keepdim=True), "layer norm mean")
    centred = arithmetic.keep(x - mean, "layer norm difference")
    squares = arithmetic.keep(centred.square(), "layer norm square")
    variance = arithmetic.keep(squares.mean(dims, keepdim=True) + eps, "layer norm variance")
    inverse = arithmetic.keep(variance.rsqrt(), "layer norm root")
    out = arithmetic.keep(centred * inverse, "layer norm quotient")
    if weight is not None:
        out = arithmetic.keep(out * weight, "layer norm product")
    if bias is not None:
        out = arithmetic.keep(out + bias, "layer norm")
    return out, mean, inverse


_APART: dict[Any, Callable[..., Any]] = {
    _ATEN._softmax.default: _softmax,
    _ATEN.native_layer_norm.default: _layer_norm,
}
"""Operators that are taken apart where they compute in FP16."""


def _constant(value: Any) -> Any:
    """A number within the program, as the file holds it; FP16 like what it meets."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(half(torch.tensor(float(value)))) if is_number else value
