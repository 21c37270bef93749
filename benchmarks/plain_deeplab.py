"""DeepLabV3 on one sensor, written plainly and anew, to hold CSK-Net's lone sensor against.

Of our networks nothing is in it that it is not handed. The quantiser knows units by their class, so an integer file can
only be had of a network made of them: `Parts` holds what the plain network is made of, plain torch by default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dis2_train.networks import blocks

BODY = (
    *("enter2", "inner2_1", "outer2_1"),
    *("enter3", "inner3_1", "outer3_1", "inner3_2", "outer3_2"),
    *("enter4", "inner4_1", "outer4_1"),
)
"""The convolutions of the encoder behind the first one."""
DECODER = ("point", "atrous1", "atrous2", "atrous3", "project", "refine")


class PlainUnit(nn.Module):
    """Convolution, batch norm, and a ReLU if `act`."""

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d, act: bool) -> None:
        super().__init__()
        self.conv, self.norm, self.act = conv, norm, act

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        x = self.norm(self.conv(x))
        return F.relu(x) if self.act else x


class PlainSum(nn.Module):
    """ReLU(x + y)."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Two maps (B, C, H, W), the second perhaps (B, C, 1, 1), to one."""
        return F.relu(x + y)


class PlainConcat(nn.Module):
    """Channels side by side."""

    def forward(self, *maps: Tensor) -> Tensor:
        """Maps (B, C_i, H, W) to (B, sum of C_i, H, W)."""
        return torch.cat(maps, dim=1)


class PlainResize(nn.Module):
    """Bilinear, by a factor."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, factor H, factor W)."""
        return F.interpolate(x, scale_factor=float(self.factor), mode="bilinear", align_corners=False)


class PlainMean(nn.Module):
    """Over all positions."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, 1, 1)."""
        return x.mean(dim=(2, 3), keepdim=True)


@dataclass(frozen=True)
class Parts:
    """What a plain network is made of."""

    unit: Callable[[nn.Conv2d, nn.BatchNorm2d, bool], nn.Module] = PlainUnit
    """Of a convolution, a batch norm, and whether a ReLU follows."""
    sum: Callable[[], nn.Module] = PlainSum
    """Of two maps, with a ReLU."""
    concat: Callable[[], nn.Module] = PlainConcat
    """Of several maps."""
    resize: Callable[[int], nn.Module] = PlainResize
    """By a factor."""
    mean: Callable[[], nn.Module] = PlainMean
    """Over all positions."""


UNITS = Parts(blocks.ConvUnit.of, blocks.Add, blocks.Concat, blocks.Enlarge, blocks.ImageMean)
"""What the quantiser knows as units: for integer files alone."""


class PlainDeepLab(nn.Module):
    """Four widths, three atrous rates (3, 6, 9), output stride 8 or 16."""

    def __init__(
        self,
        channels: int,
        classes: int,
        widths: tuple[int, int, int, int],
        stride: int = 8,
        parts: Parts | None = None,
    ) -> None:
        super().__init__()
        parts = parts or Parts()
        a, b, c, d = widths

        def unit(inputs: int, outputs: int, side: int = 3, step: int = 1, rate: int = 1, act: bool = True) -> nn.Module:
            pad = 1 if side == 4 else rate * (side // 2)
            conv = nn.Conv2d(inputs, outputs, side, step, pad, rate, bias=False)
            return parts.unit(conv, nn.BatchNorm2d(outputs), act)

        rate = 2 if stride == 8 else 1
        self.stem = unit(channels, a, 4, 2)
        self.enter2, self.inner2_1, self.outer2_1 = unit(a, b, 4, 2), unit(b, b), unit(b, b, act=False)
        self.enter3, self.inner3_1, self.outer3_1 = unit(b, c, 4, 2), unit(c, c), unit(c, c, act=False)
        self.inner3_2, self.outer3_2 = unit(c, c), unit(c, c, act=False)
        self.enter4 = unit(c, d) if stride == 8 else unit(c, d, 4, 2)
        self.inner4_1, self.outer4_1 = unit(d, d, rate=rate), unit(d, d, rate=rate, act=False)
        self.point, self.atrous1 = unit(d, c, 1), unit(d, c, rate=3)
        self.atrous2, self.atrous3 = unit(d, c, rate=6), unit(d, c, rate=9)
        self.project, self.refine = unit(4 * c, c, 1, act=False), unit(c, c)
        self.narrow, self.widen = nn.Conv2d(d, c, 1), nn.Conv2d(c, c, 1)
        self.head = nn.Conv2d(c, classes, 1)
        self.sum, self.concat, self.resize = parts.sum(), parts.concat(), parts.resize(stride)
        self.mean = parts.mean()

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to logits (B, classes, H, W)."""
        x = self.enter2(self.stem(x))
        x = self.sum(self.outer2_1(self.inner2_1(x)), x)
        x = self.enter3(x)
        x = self.sum(self.outer3_1(self.inner3_1(x)), x)
        x = self.sum(self.outer3_2(self.inner3_2(x)), x)
        x = self.enter4(x)
        x = self.sum(self.outer4_1(self.inner4_1(x)), x)
        seen = self.project(self.concat(self.point(x), self.atrous1(x), self.atrous2(x), self.atrous3(x)))
        pooled = self.widen(F.relu(self.narrow(self.mean(x))))
        logits: Tensor = self.resize(self.head(self.refine(self.sum(seen, pooled))))
        return logits


def weights_of(state: Mapping[str, Tensor], sensor: str, owner: str) -> dict[str, Tensor]:
    """What of a CSK-Net's saved tensors a plain network of `sensor` has; the encoder's convolutions are `owner`'s."""
    names = {f"stem.{part}": f"stems.{sensor}.{part}" for part in ("conv", "norm")}
    for name in BODY:
        names |= {f"{name}.conv": f"encoder.{name}.convs.{owner}", f"{name}.norm": f"encoder.{name}.norms.{sensor}"}
    for name in DECODER:
        own = f"decoders.{sensor}.{name}"
        names |= {f"{name}.conv": f"{own}.convs.{sensor}", f"{name}.norm": f"{own}.norms.{sensor}"}
    names |= {"narrow": f"poolings.{sensor}.narrow", "widen": f"poolings.{sensor}.project", "head": f"heads.{sensor}"}
    return {
        f"{ours}.{own}": state[f"{theirs}.{own}"]
        for ours, theirs in names.items()
        for own in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        if f"{theirs}.{own}" in state
    }
