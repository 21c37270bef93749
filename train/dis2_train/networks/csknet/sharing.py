"""Shared convolutions with separate batch norm: what both sensors know in common, and what each measures by itself."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from dis2_train.networks.blocks import ConvUnit
from dis2_train.networks.deeplab.plan import Shape


class SharedUnit(nn.Module):
    """y_m = gamma_m (W * x_m - mu_m) / sigma_m + beta_m: one W, a batch norm for each sensor m.

    `convs` has one convolution, or one a sensor where `shared` is False (an ablation). `norms` has a batch norm for
    each sensor; `full_norms` another for each where the two sensors run side by side, or none: behind an exchange a map
    holds numbers of the other sensor, whose statistics are not those of the lone sensor. With `one_norm` both sensors
    have the same batch norm in each of the two (an ablation).
    """

    def __init__(
        self, shape: Shape, sensors: Sequence[str], *, shared: bool, apart: bool, one_norm: bool = False
    ) -> None:
        super().__init__()
        self.shape = shape
        owners = sensors[:1] if shared else sensors
        self.convs = nn.ModuleDict({owner: shape.unit().conv for owner in owners})
        self.norms = _norms(shape.outputs, sensors, one_norm)
        self.full_norms = _norms(shape.outputs, sensors if apart else (), one_norm)

    def at(self, sensor: str, full: bool) -> ConvUnit:
        """The plain unit of one sensor, alone or in the full scenario, sharing weights with this one."""
        norms = self.full_norms if full and self.full_norms else self.norms
        conv = self.convs[sensor] if sensor in self.convs else next(iter(self.convs.values()))
        return ConvUnit.of(conv, norms[sensor], self.shape.act)


class OneForAll(nn.Module):
    """A convolution of several channels that reads one channel in the place of each.

    sum over c of W_c * x = (sum over c of W_c) * x: it costs what a convolution of one channel costs.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, H, W) to what the convolution gives of `x` repeated in every channel."""
        weight = self.conv.weight.sum(dim=1, keepdim=True)
        return F.conv2d(x, weight, None, self.conv.stride, self.conv.padding, self.conv.dilation)

    def summed(self) -> nn.Conv2d:
        """The plain convolution of one channel that it is now; its weight is a copy."""
        own, weight = self.conv, self.conv.weight.detach().sum(dim=1, keepdim=True)
        shape = own.kernel_size, own.stride, own.padding, own.dilation
        conv = nn.Conv2d(1, own.out_channels, *shape, bias=False, device="meta")  # type: ignore[arg-type]
        conv.weight = nn.Parameter(weight)
        return conv


def as_flown(unit: ConvUnit) -> ConvUnit:
    """The unit with a plain convolution."""
    return ConvUnit.of(unit.conv.summed(), unit.norm) if isinstance(unit.conv, OneForAll) else unit


def _norms(channels: int, sensors: Sequence[str], one: bool) -> nn.ModuleDict:
    """A batch norm by sensor, or `one` under the names of all."""
    norms = [nn.BatchNorm2d(channels) for _ in (sensors[:1] if one else sensors)]
    return nn.ModuleDict({sensor: norms[place % len(norms)] for place, sensor in enumerate(sensors)})
