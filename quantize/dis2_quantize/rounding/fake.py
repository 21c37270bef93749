"""Fake quantisation: tensors rounded to the integers that the engine will hold, in a graph that still trains.

Activations are one scale a tensor: unsigned 8 bits from 0 where nothing is negative (one bit more), else signed around
128, so that zero is exact and the same largest value serves a symmetric int8 dialect. Weights are symmetric int8, one
scale an output channel.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dis2_edge.errors import DataError, InternalError
from dis2_quantize.rounding.observe import Observer
from dis2_train.networks.blocks import ConvUnit

ACTIVATION_STEPS = 255
SIGNED_STEPS = 127


class ActivationQuant(nn.Module):
    """Rounds one activation tensor to 8 bits; first it observes, then its range is fixed and may be tuned no more."""

    amax: Tensor

    def __init__(self, name: str, observer: str) -> None:
        """`name`: path of the layer that makes the tensor."""
        super().__init__()
        self.name = name
        self.observer: Observer | None = Observer(observer)
        self.signed = False
        self.register_buffer("amax", torch.zeros(()))

    def freeze(self) -> None:
        """End observation: keep the range that the observer chose. Raises DataError if it saw nothing."""
        if self.observer is None:
            return
        if not self.observer.seen:
            raise DataError(f"no calibration sample reached {self.name}", mend="give more images to calibrate on")
        self.signed = self.observer.low < 0
        self.amax.fill_(self.observer.largest(SIGNED_STEPS if self.signed else ACTIVATION_STEPS))
        self.observer = None

    @property
    def scale(self) -> float:
        """Size of one integer step, in the tensor's unit."""
        return float(self.amax) / (SIGNED_STEPS if self.signed else ACTIVATION_STEPS)

    def forward(self, x: Tensor) -> Tensor:
        """Any tensor to one of the same shape, rounded; while observing, `x` itself."""
        if self.observer is not None:
            self._observe(x)
            return x
        zero_point = 128 if self.signed else 0
        return torch.fake_quantize_per_tensor_affine(x, self.scale, zero_point, 0, 255)

    def _observe(self, x: Tensor) -> None:
        if not bool(torch.isfinite(x).all()):
            found = f"the layer {self.name} gives a value that is not finite"
            raise DataError(found, expected="finite activations", mend="look at its weights, or train again")
        if self.observer is not None:
            self.observer.see(x)


class QuantConvUnit(nn.Module):
    """A ConvUnit whose batch norm is folded into weights that are rounded to int8, one scale an output channel."""

    steps: Tensor
    zeros: Tensor

    def __init__(self, unit: ConvUnit) -> None:
        super().__init__()
        weight, bias = folded(unit)
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)
        self.stride, self.padding = unit.conv.stride, unit.conv.padding
        self.act = unit.act
        self.register_buffer("steps", torch.ones(len(weight)))
        self.register_buffer("zeros", torch.zeros(len(weight), dtype=torch.int32))
        self.measure_steps()

    def measure_steps(self) -> None:
        """Take the step of each output channel from the weights as they are now."""
        self.steps.copy_(self.weight.detach().abs().amax(dim=(1, 2, 3)).div(SIGNED_STEPS).clamp(min=1e-9))

    def train(self, mode: bool = True) -> QuantConvUnit:
        """Leaving training takes the steps once more: the last move of the weights came after they were taken."""
        if self.training and not mode:
            self.measure_steps()
        return super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        if self.training:
            self.measure_steps()
        # -128 is never reached, as steps come from the largest weight; the exporter knows whole int8 only.
        weight = torch.fake_quantize_per_channel_affine(self.weight, self.steps, self.zeros, 0, -128, SIGNED_STEPS)
        out: Tensor = self.act(nn.functional.conv2d(x, weight, self.bias, self.stride, self.padding))
        return out


def folded(unit: ConvUnit) -> tuple[Tensor, Tensor]:
    """Weight and bias of one convolution that equals the unit's convolution and its batch norm in eval mode."""
    norm = unit.norm
    if norm.running_mean is None or norm.running_var is None:
        raise InternalError("a unit's batch norm keeps no statistics, so it cannot be folded")
    gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    weight = unit.conv.weight * gain[:, None, None, None]
    return weight.detach().clone(), (norm.bias - norm.running_mean * gain).detach().clone()
