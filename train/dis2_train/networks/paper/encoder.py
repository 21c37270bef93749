"""The encoder of one sensor: four halvings, whose outputs are handed on before their activation."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

Widths = tuple[int, int, int, int]
"""Channels of the four levels, 32-64-128-256 as released; level i (from 1) has 1 / 2**i of the input's size."""
STRIDE = 16
"""Input pixels along one side of a level-4 position."""
SLOPE = 0.2
"""Negative slope of every leaky ReLU of the network."""

Features = tuple[Tensor, Tensor, Tensor, Tensor]
"""Levels 1 to 4 of one sensor, (B, widths[i], H / 2**(i+1), W / 2**(i+1)), pre-activation."""


class Encoder(nn.Module):
    """Four 4x4 convolutions of stride 2; levels 2 and 3 are batch-normalised, levels 1 and 4 are not.

    The same class serves a sensor's own encoder and its *stand-in*: the compensatory encoder of the paper, which reads
    the sensor that is there and fills the slot of the one that is not.
    """

    def __init__(self, channels: int, widths: Widths) -> None:
        super().__init__()
        one, two, three, four = widths
        self.level1 = halving(channels, one)
        self.level2 = nn.Sequential(halving(one, two), nn.BatchNorm2d(two))
        self.level3 = nn.Sequential(halving(two, three), nn.BatchNorm2d(three))
        self.level4 = halving(three, four)

    def forward(self, frame: Tensor) -> Features:
        """Encode `frame` (B, C, H, W), normalised, height and width multiples of 16."""
        first = self.level1(frame)
        second = self.level2(F.leaky_relu(first, SLOPE))
        third = self.level3(F.leaky_relu(second, SLOPE))
        fourth = self.level4(F.leaky_relu(third, SLOPE))
        return first, second, third, fourth


def halving(channels_in: int, channels_out: int) -> nn.Conv2d:
    """The 4x4 convolution that halves height and width."""
    return nn.Conv2d(channels_in, channels_out, kernel_size=4, stride=2, padding=1)
