"""DeepLabV3 on one sensor, written plainly and anew: of our networks nothing is in it that it is not handed.

The quantiser knows units by their class, so an integer file can only be had of a network made of them: `Parts` holds
what the plain network is made of, plain torch by default.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

BODY = ("enter2", "inner2_1", "outer2_1", "enter3", "inner3_1", "outer3_1", "inner3_2", "outer3_2", "enter4")
BODY = (*BODY, "inner4_1", "outer4_1")


class PlainUnit(nn.Module):
    def __init__(self, conv, norm, act):
        super().__init__()
        self.conv, self.norm, self.act = conv, norm, act

    def forward(self, x):
        x = self.norm(self.conv(x))
        return F.relu(x) if self.act else x


class PlainSum(nn.Module):
    def forward(self, x, y):
        return F.relu(x + y)


class PlainConcat(nn.Module):
    def forward(self, *maps):
        return torch.cat(maps, dim=1)


class PlainResize(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return F.interpolate(x, scale_factor=float(self.factor), mode="bilinear", align_corners=False)


@dataclass(frozen=True)
class Parts:
    unit: object = PlainUnit
    sum: object = PlainSum
    concat: object = PlainConcat
    resize: object = PlainResize


class PlainDeepLab(nn.Module):
    """Widths 8-16-32-64, output stride 8 or 16."""

    def __init__(self, channels, classes, stride, parts=None):
        super().__init__()
        parts = parts or Parts()

        def unit(inputs, outputs, side=3, step=1, rate=1, act=True):
            pad = 1 if side == 4 else rate * (side // 2)
            return parts.unit(
                nn.Conv2d(inputs, outputs, side, step, pad, rate, bias=False), nn.BatchNorm2d(outputs), act
            )

        rate = 2 if stride == 8 else 1
        self.stem = unit(channels, 8, 4, 2)
        self.enter2, self.inner2_1, self.outer2_1 = unit(8, 16, 4, 2), unit(16, 16), unit(16, 16, act=False)
        self.enter3, self.inner3_1, self.outer3_1 = unit(16, 32, 4, 2), unit(32, 32), unit(32, 32, act=False)
        self.inner3_2, self.outer3_2 = unit(32, 32), unit(32, 32, act=False)
        self.enter4 = unit(32, 64) if stride == 8 else unit(32, 64, 4, 2)
        self.inner4_1, self.outer4_1 = unit(64, 64, rate=rate), unit(64, 64, rate=rate, act=False)
        self.point, self.atrous1 = unit(64, 32, 1), unit(64, 32, rate=3)
        self.atrous2, self.atrous3 = unit(64, 32, rate=6), unit(64, 32, rate=9)
        self.project, self.refine = unit(128, 32, 1, act=False), unit(32, 32)
        self.narrow, self.widen = nn.Conv2d(64, 32, 1), nn.Conv2d(32, 32, 1)
        self.head = nn.Conv2d(32, classes, 1)
        self.sum, self.concat, self.resize = parts.sum(), parts.concat(), parts.resize(stride)

    def forward(self, x):
        """(B, channels, H, W) to logits of that size."""
        x = self.enter2(self.stem(x))
        x = self.sum(self.outer2_1(self.inner2_1(x)), x)
        x = self.enter3(x)
        x = self.sum(self.outer3_1(self.inner3_1(x)), x)
        x = self.sum(self.outer3_2(self.inner3_2(x)), x)
        x = self.enter4(x)
        x = self.sum(self.outer4_1(self.inner4_1(x)), x)
        seen = self.project(self.concat(self.point(x), self.atrous1(x), self.atrous2(x), self.atrous3(x)))
        pooled = self.widen(F.relu(self.narrow(x.mean(dim=(2, 3), keepdim=True))))
        return self.resize(self.head(self.refine(self.sum(seen, pooled))))


def weights_of(state, sensor, owner):
    """What of a CSK-Net's saved tensors a plain network of `sensor` has; shared convolutions stand under `owner`."""
    names = {f"stem.{part}": f"stems.{sensor}.{part}" for part in ("conv", "norm")}
    for name in BODY:
        names |= {f"{name}.conv": f"encoder.{name}.convs.{owner}", f"{name}.norm": f"encoder.{name}.norms.{sensor}"}
    for name in ("point", "atrous1", "atrous2", "atrous3", "project", "refine"):
        own = f"decoders.{sensor}.{name}"
        names |= {f"{name}.conv": f"{own}.convs.{sensor}", f"{name}.norm": f"{own}.norms.{sensor}"}
    names |= {"narrow": f"poolings.{sensor}.narrow", "widen": f"poolings.{sensor}.project", "head": f"heads.{sensor}"}
    return {
        f"{ours}.{own}": state[f"{theirs}.{own}"]
        for ours, theirs in names.items()
        for own in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        if f"{theirs}.{own}" in state
    }
