"""The auxiliary decoder of one sensor: a U-Net's way up, whose prediction only training needs."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dis2_train.networks.paper.encoder import Features, Widths


class AuxiliaryDecoder(nn.Module):
    """Four 4x4 transposed convolutions of stride 2 with the encoder's levels concatenated on the way.

    It makes a sensor's own encoder learn classes by itself. The released code runs it in inference too and throws the
    result away.
    """

    def __init__(self, classes: int, widths: Widths) -> None:
        super().__init__()
        one, two, three, four = widths
        self.up3 = nn.Sequential(_doubling(four, three), nn.BatchNorm2d(three))
        self.up2 = nn.Sequential(_doubling(2 * three, two), nn.BatchNorm2d(two))
        self.up1 = nn.Sequential(_doubling(2 * two, one), nn.BatchNorm2d(one))
        self.up0 = _doubling(2 * one, classes)

    def forward(self, features: Features) -> Tensor:
        """Class probabilities (B, K, H, W) from one sensor's four levels."""
        first, second, third, fourth = features
        rising = torch.cat((self.up3(F.relu(fourth)), third), dim=1)
        rising = torch.cat((self.up2(F.relu(rising)), second), dim=1)
        rising = torch.cat((self.up1(F.relu(rising)), first), dim=1)
        logits: Tensor = self.up0(F.relu(rising))
        return logits.softmax(dim=1)


def _doubling(channels_in: int, channels_out: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(channels_in, channels_out, kernel_size=4, stride=2, padding=1)
