"""Fake quantisation: tensors rounded to the integers that the engine will hold, in a graph that still trains.

Activations are one scale a tensor: unsigned 8 bits from 0 where nothing is negative (one bit more), else signed around
128, so that zero is exact and the same largest value serves a symmetric int8 dialect. Weights are symmetric int8, one
scale an output channel. While a student is tuned, scales may be learned and batch norms may live; `settle` ends both.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dis2_edge.errors import DataError
from dis2_quantize.rounding.folding import fold, folded, normalise_by_batch
from dis2_quantize.rounding.learning import Change, round_channels, round_tensor
from dis2_quantize.rounding.observe import Observer
from dis2_train.networks.blocks import ConvUnit

ACTIVATION_STEPS = 255
SIGNED_STEPS = 127


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
    """A ConvUnit whose batch norm is folded into weights that are rounded to int8, one scale an output channel.

    `weight` and `bias` are folded, unless `revive` was called: then `weight` is the convolution's own, `norm` is alive,
    and every forward folds, until `settle`.
    """

    steps: Tensor
    zeros: Tensor

    def __init__(self, unit: ConvUnit) -> None:
        super().__init__()
        weight, bias = folded(unit)
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)
        self.norm: nn.BatchNorm2d | None = None
        self.change: Change | None = None
        self._origin: tuple[ConvUnit, ...] = (unit,)  # in a tuple, so that it is no child: nothing of it is trained
        self.stride, self.padding, self.dilation = unit.conv.stride, unit.conv.padding, unit.conv.dilation
        self.act = unit.act
        self.register_buffer("steps", torch.ones(len(weight)))
        self.register_buffer("zeros", torch.zeros(len(weight), dtype=torch.int32))
        self.measure_steps()

    @torch.no_grad()
    def measure_steps(self) -> None:
        """Take the step of each output channel from the weights as they are now."""
        self.steps.copy_(self.whole()[0].abs().amax(dim=(1, 2, 3)).div(SIGNED_STEPS).clamp(min=1e-9))

    def revive(self) -> None:
        """Take the batch norm out of the weights again; a unit that was tuned before stays folded."""
        for unit in self._origin:
            self.weight = nn.Parameter(unit.conv.weight.detach().clone())
            self.norm = copy.deepcopy(unit.norm).train(self.training)
        self._origin = ()

    def learn(self) -> None:
        """From now on steps get gradients instead of being measured, until `settle`."""
        self.change = Change((len(self.steps),)).to(self.steps.device)

    @torch.no_grad()
    def settle(self) -> None:
        """End of tuning: one folded weight and bias, and steps to which they are rounded as they are."""
        weight, bias = self.whole()
        self.steps.copy_(self._steps())
        if self.change is not None:
            weight = self._within(weight)
        self.weight, self.bias = nn.Parameter(weight.clone()), nn.Parameter(bias.clone())
        self.norm, self.change, self._origin = None, None, ()

    def train(self, mode: bool = True) -> QuantConvUnit:
        """Leaving training takes the steps once more: the last move of the weights came after they were taken."""
        if self.training and not mode and self.change is None:
            self.measure_steps()
        return super().train(mode)

    def whole(self) -> tuple[Tensor, Tensor]:
        """Folded weight (O, I, h, w) and bias (O,), not rounded; by the running statistics where the norm is alive."""
        return (self.weight, self.bias) if self.norm is None else fold(self.weight, self.norm)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        if self.training and self.change is None:
            self.measure_steps()
        weight, bias = self.whole()
        weight = self._rounded(weight)
        if self.norm is not None and self.norm.training:
            plain = nn.functional.conv2d(x, weight, None, self.stride, self.padding, self.dilation)
            out = normalise_by_batch(plain, self.norm)
        else:
            out = nn.functional.conv2d(x, weight, bias, self.stride, self.padding, self.dilation)
        answer: Tensor = self.act(out)
        return answer

    def _rounded(self, weight: Tensor) -> Tensor:
        if self.change is not None:
            if self.training:
                return round_channels(weight, self._steps(), SIGNED_STEPS)
            weight = self._within(weight)
        # -128 is never reached, as steps come from the largest weight; the exporter knows whole int8 only.
        return torch.fake_quantize_per_channel_affine(weight, self._steps().detach(), self.zeros, 0, -128, SIGNED_STEPS)

    def _steps(self) -> Tensor:
        return self.steps if self.change is None else self.change(self.steps)

    def _within(self, weight: Tensor) -> Tensor:
        """Weights cut to the end of their integers, which learned steps may leave short of the largest one."""
        end = SIGNED_STEPS * self._steps()[:, None, None, None]
        return torch.minimum(torch.maximum(weight, -end), end)
