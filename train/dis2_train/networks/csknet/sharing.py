"""Shared convolutions with separate batch norm: what both sensors know in common, and what each measures by itself."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

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


def _norms(channels: int, sensors: Sequence[str], one: bool) -> nn.ModuleDict:
    """A batch norm by sensor, or `one` under the names of all."""
    norms = [nn.BatchNorm2d(channels) for _ in (sensors[:1] if one else sensors)]
    return nn.ModuleDict({sensor: norms[place % len(norms)] for place, sensor in enumerate(sensors)})
