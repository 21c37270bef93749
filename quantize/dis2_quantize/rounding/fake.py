"""Fake quantisation: tensors rounded to the integers that the engine will hold, in a graph that still trains.

Activations are one scale a tensor: unsigned 8 bits from 0 where nothing is negative (one bit more), else signed around
128, so that zero is exact and the same largest value serves a symmetric int8 dialect. Weights are symmetric int8, one
scale an output channel, and one for all units that share a convolution. While a student is tuned, scales may be learned
and batch norms may live; `settle` ends both.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dis2_edge.errors import DataError
from dis2_quantize.rounding.folding import gain_and_bias, source_of
from dis2_quantize.rounding.kernel import LEAST_STEP, SIGNED_STEPS, Kernel
from dis2_quantize.rounding.learning import Change, round_tensor
from dis2_quantize.rounding.observe import Observer
from dis2_train.networks.blocks import ConvUnit

ACTIVATION_STEPS = 255


class Integers(NamedTuple):
    """The integers that a tensor is rounded to."""

    steps: int
    """From zero to the range's end."""
    zero_point: int
    """The integer that stands for 0."""
    least: int
    """Least integer."""
    most: int
    """Greatest integer."""


class ActivationQuant(nn.Module):
    """Rounds one activation tensor to 8 bits: first it observes, then its range is fixed, or learned while tuned."""

    amax: Tensor

    def __init__(self, name: str, observer: str) -> None:
        """`name`: path of the layer that makes the tensor."""
        super().__init__()
        self.name = name
        self.observer: Observer | None = Observer(observer)
        self.signed = False
        self.change: Change | None = None
        self.register_buffer("amax", torch.zeros(()))

    def freeze(self) -> None:
        """End observation: keep the range that the observer chose. Raises DataError if it saw nothing."""
        if self.observer is None:
            return
        if not self.observer.seen:
            raise DataError(f"no calibration sample reached {self.name}", mend="give more images to calibrate on")
        self.signed = self.observer.low < 0
        self.amax.fill_(self.observer.largest(self.integers.steps))
        self.observer = None

    def learn(self) -> None:
        """From now on the range gets gradients, until `settle`."""
        self.change = Change(()).to(self.amax.device)

    @torch.no_grad()
    def settle(self) -> None:
        """End of tuning: what was learned becomes the range."""
        self.amax.copy_(self._end())
        self.change = None

    @property
    def integers(self) -> Integers:
        """What the tensor is rounded to."""
        return Integers(SIGNED_STEPS, 128, 0, 255) if self.signed else Integers(ACTIVATION_STEPS, 0, 0, 255)

    @property
    def scale(self) -> float:
        """Size of one integer step, in the tensor's unit."""
        return float(self._end().detach()) / self.integers.steps

    def forward(self, x: Tensor) -> Tensor:
        """Any tensor to one of the same shape, rounded; while observing, `x` itself."""
        if self.observer is not None:
            self._refuse(x, mend="look at its weights, or train again")
            self.observer.see(x)
            return x
        steps, zero_point, least, most = self.integers
        if self.training:  # rounding would hide it: the integer of nan is the least one
            self._refuse(x, mend="--set quantize_learning_rate= to a smaller one")
            if self.change is not None:
                return round_tensor(x, self._end() / steps, zero_point, least, most)
        return torch.fake_quantize_per_tensor_affine(x, self.scale, zero_point, least, most)

    def _end(self) -> Tensor:
        """The range's end (): the one that was found, changed by what was learned."""
        out: Tensor = self.amax if self.change is None else self.change(self.amax)
        return out

    def _refuse(self, x: Tensor, mend: str) -> None:
        if not bool(torch.isfinite(x).all()):
            found = f"the layer {self.name} gives a value that is not finite"
            raise DataError(found, expected="finite activations", mend=mend)


class QuantConvUnit(nn.Module):
    """A ConvUnit whose weights are rounded to int8: W = s q, and its norm goes into scale, sign and bias.

    An output channel is gain (W * x) + bias, so its integers are those of W, with the sign of the gain, in steps of
    |gain| s: whatever the norms of the units that share `kernel`, q is one. `norm` lives if `revive` was called, until
    `settle`; else `gain` and `bias` are what it left. `rows` and `columns` say which of the kernel's outputs are
    computed, and in which order inputs are read; None is all, as they are.
    """

    gain: Tensor | None
    rows: Tensor | None
    columns: Tensor | None

    def __init__(self, unit: ConvUnit, kernel: Kernel | None = None) -> None:
        super().__init__()
        whole, rows, columns = source_of(unit)
        self.kernel = Kernel(whole.weight) if kernel is None else kernel
        self.register_buffer("rows", rows)
        self.register_buffer("columns", columns)
        gain, bias = gain_and_bias(unit.norm)
        self.register_buffer("gain", gain.detach().clone())
        self.bias = nn.Parameter(bias.detach().clone())
        self.norm: nn.BatchNorm2d | None = None
        self._origin: tuple[ConvUnit, ...] = (unit,)  # in a tuple, so that it is no child: nothing of it is trained
        self.stride, self.padding, self.dilation = unit.conv.stride, unit.conv.padding, unit.conv.dilation
        self.act = unit.act

    def revive(self) -> None:
        """Let the batch norm live again; a unit that was tuned before stays folded."""
        for unit in self._origin:
            self.norm = copy.deepcopy(unit.norm).train(self.training)
        self._origin = ()

    def learn(self) -> None:
        """From now on the kernel's steps get gradients instead of being measured, until `settle`."""
        self.kernel.learn()

    @torch.no_grad()
    def settle(self) -> None:
        """End of tuning: the norm leaves its gain and bias, and nothing is rounded anew."""
        gain, bias = self._norm_now()
        self.gain, self.bias = None if gain is None else gain.clone(), nn.Parameter(bias.clone())
        self.norm, self._origin = None, ()
        self.kernel.settle()

    @torch.no_grad()
    def fold(self) -> None:
        """Take a kernel of its own that holds gain and sign, for a file that knows no more; the integers stay."""
        integers, steps = self.integers(), self.steps
        self.settle()
        self.kernel = Kernel(integers.float() * steps.view(-1, 1, 1, 1)).train(self.training)
        self.kernel.steps.copy_(steps)
        self.gain = self.rows = self.columns = None

    @property
    def steps(self) -> Tensor:
        """(outputs,) step of each channel's weights with the norm's gain in them."""
        gain, _ = self._norm_now()
        steps = self._own(self.kernel.reached(), inputs=False).detach()
        return steps if gain is None else (steps * gain.detach().abs()).clamp(min=LEAST_STEP)

    @property
    def weight(self) -> Tensor:
        """(outputs, inputs, h, w) with the norm's gain in it, not rounded."""
        return self.whole()[0]

    def whole(self) -> tuple[Tensor, Tensor]:
        """Folded weight (O, I, h, w) and bias (O,), not rounded; by the running statistics where the norm is alive."""
        return self._folded(self.kernel.whole())

    def integers(self) -> Tensor:
        """(outputs, inputs, h, w) int8: those of the kernel, with the sign of the norm's gain."""
        gain, _ = self._norm_now()
        own = self._own(self.kernel.integers())
        return own if gain is None else own * gain.detach().sign().to(torch.int8).view(-1, 1, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        rounded = self.kernel()
        if self.norm is not None and self.norm.training:
            own = self._own(rounded)
            out = self.norm(nn.functional.conv2d(x, own, None, self.stride, self.padding, self.dilation))
        else:
            weight, bias = self._folded(rounded)
            out = nn.functional.conv2d(x, weight, bias, self.stride, self.padding, self.dilation)
        answer: Tensor = self.act(out)
        return answer

    def _norm_now(self) -> tuple[Tensor | None, Tensor]:
        """Gain and bias of the norm, by its running statistics; a gain of None is 1."""
        return (self.gain, self.bias) if self.norm is None else gain_and_bias(self.norm)

    def _folded(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        gain, bias = self._norm_now()
        own = self._own(weight)
        return (own if gain is None else own * gain[:, None, None, None]), bias

    def _own(self, x: Tensor, inputs: bool = True) -> Tensor:
        """Of what the kernel has for each output (O, ...), and input (O, I, ...), that of this unit."""
        x = x if self.rows is None else x[self.rows]
        return x[:, self.columns] if inputs and self.columns is not None else x
