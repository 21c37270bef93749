"""Encoder of one sensor, and the auxiliary decoder that only training uses (facts: DIS2 section 'Encoders')."""

from __future__ import annotations

from torch import Tensor, nn

from dis2_train.networks.blocks import Concat, ConvUnit

Levels = tuple[Tensor, Tensor, Tensor, Tensor]
"""Feature maps at 1/2, 1/4, 1/8 and 1/16 of the input's size."""


class Encoder(nn.Module):
    """Four convolutions 4x4 of stride 2, each with batch norm and ReLU; one a sensor and one a stand-in."""

    def __init__(self, channels: int, widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        inputs = (channels, *widths[:3])
        self.stages = nn.ModuleList(ConvUnit(i, o, kernel=4, stride=2) for i, o in zip(inputs, widths, strict=True))

    def forward(self, x: Tensor) -> Levels:
        """(B, channels, H, W) to four levels (B, w_i, H / 2^i, W / 2^i)."""
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        return levels[0], levels[1], levels[2], levels[3]


class AuxiliaryDecoder(nn.Module):
    """U-Net decoder on one encoder: a prediction from that sensor alone, which keeps the encoder honest in training."""

    def __init__(self, widths: tuple[int, int, int, int], classes: int) -> None:
        super().__init__()
        w1, w2, w3, w4 = widths
        self.up3 = _enlarging_unit(w4, w3)
        self.up2 = _enlarging_unit(2 * w3, w2)
        self.up1 = _enlarging_unit(2 * w2, w1)
        self.up0 = nn.ConvTranspose2d(2 * w1, classes, 4, 2, 1)
        self.concat = Concat()

    def forward(self, levels: Levels) -> Tensor:
        """Four levels to logits (B, K, H, W)."""
        e1, e2, e3, e4 = levels
        x = self.concat(self.up3(e4), e3)
        x = self.concat(self.up2(x), e2)
        x = self.concat(self.up1(x), e1)
        out: Tensor = self.up0(x)
        return out


def _enlarging_unit(inputs: int, outputs: int) -> nn.Sequential:
    conv = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())
