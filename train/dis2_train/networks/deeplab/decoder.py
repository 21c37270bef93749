"""The decoder: atrous spatial pyramid pooling (arXiv 1706.05587, section 3.3), a projection and a last convolution."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from dis2_train.networks.blocks import Add, Concat, ImageMean


class ImagePooling(nn.Module):
    """What the whole image says: its mean, through two 1x1 convolutions, to be added at every position.

    The paper puts the pooled map beside the others and projects them together. The projection of maps side by side is
    the sum of one projection each; of the pooled one it is the same everywhere, so it is computed once and not at every
    position: W [b; p] = W_b b + W_p p. No batch norm (the paper has one): one value an image and channel has no
    statistics worth the name in batches as small as ours.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.narrow, self.project = nn.Conv2d(inputs, outputs, 1), nn.Conv2d(outputs, outputs, 1)
        self.mean, self.act = ImageMean(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) to (B, outputs, 1, 1)."""
        out: Tensor = self.project(self.act(self.narrow(self.mean(x))))
        return out


class Decoder(nn.Module):
    """Parallel convolutions at several rates and a mean over the image, joined to one; `units` by `decoder_plan`.

    y = refine(ReLU(project([point(x); atrous1(x); ...]) + pooling(x)))
    """

    def __init__(self, units: Mapping[str, nn.Module], pooling: ImagePooling) -> None:
        super().__init__()
        self.units, self.pooling = nn.ModuleDict(dict(units)), pooling
        self.concat, self.join = Concat(), Add()
        self.branches = [name for name in units if name == "point" or name.startswith("atrous")]

    def forward(self, x: Tensor) -> Tensor:
        """(B, w4, h, w) to (B, w3, h, w), the map that the head reads."""
        seen = [self.units[name](x) for name in self.branches]
        joined = self.join(self.units["project"](self.concat(*seen)), self.pooling(x))
        out: Tensor = self.units["refine"](joined)
        return out
