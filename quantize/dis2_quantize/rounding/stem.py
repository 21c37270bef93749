"""The first convolution of a sensor whose samples are bytes: it reads the bytes as they are, so nothing is rounded."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dis2_edge.sensors import Sensor
from dis2_quantize.rounding.fake import QuantConvUnit
from dis2_quantize.rounding.kernel import Kernel
from dis2_train.networks.blocks import ConvUnit


class QuantStem(QuantConvUnit):
    """A unit over a sensor of dtype uint8: normalisation is folded into weights and bias, (x - mean) / std too.

    It takes the normalised frame, as the unit it stands for does; its integers are those of the raw frame. Padding is
    the sensor's mean, rounded, where the network pads normalised zeros.
    """

    std: Tensor
    mean: Tensor

    def __init__(self, unit: ConvUnit, sensor: Sensor) -> None:
        std = torch.tensor(sensor.std).view(1, -1, 1, 1)
        super().__init__(unit, Kernel(unit.conv.weight, divisor=std))  # its weights are those of the raw frame
        self.register_buffer("std", std.clone())
        self.register_buffer("mean", torch.tensor(sensor.mean).view(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Normalised (B, C, H, W) to (B, outputs, H / stride, W / stride)."""
        return super().forward(x * self.std)

    def raw_bias(self) -> Tensor:
        """(outputs,) the bias when the raw frame is read: the mean that is not subtracted there is subtracted here."""
        weight, bias = self._folded(self.kernel())
        return (bias - (weight * self.mean).sum(dim=(1, 2, 3))).detach()

    def plain(self) -> nn.Module:
        """The unit over the normalised frame in floating point, with the weights as they are."""
        weight, bias = self.whole()
        outputs, inputs, *kernel = weight.shape
        conv = nn.Conv2d(inputs, outputs, tuple(kernel), self.stride, self.padding)  # type: ignore[arg-type]
        conv.load_state_dict({"weight": (weight * self.std).detach(), "bias": bias.detach()})
        return nn.Sequential(conv, self.act).train(self.training)


def reads_bytes(module: nn.Module, sensor: Sensor) -> bool:
    """Whether `module` is a unit that can read the frames of `sensor` as the bytes that they are."""
    return sensor.dtype == "uint8" and isinstance(module, ConvUnit) and isinstance(module.conv, nn.Conv2d)
