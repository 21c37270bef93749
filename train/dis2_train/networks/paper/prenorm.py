"""The pre-norm convolution that fusion and class-wise decoder are made of."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from dis2_train.networks.paper.encoder import SLOPE


class PreNormConv(nn.Module):
    """Normalise, leaky ReLU, convolve at stride 1 without change of size.

    The paper means an instance normalisation. As released, a three-dimensional one meets a four-dimensional tensor and
    so takes the batch for channels and the channels for depth: each sample is normalised over channels and space
    together, without affine parameters. That is a group normalisation of one group, which stands here.
    """

    def __init__(
        self, channels_in: int, channels_out: int, *, kernel: int = 3, pad: Literal["zeros", "reflect"] = "reflect"
    ) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, channels_in, affine=False)
        self.activation = nn.LeakyReLU(SLOPE, inplace=True)
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, padding_mode=pad)

    def forward(self, features: Tensor) -> Tensor:
        """(B, channels_in, H, W) to (B, channels_out, H, W)."""
        convolved: Tensor = self.conv(self.activation(self.norm(features)))
        return convolved
