"""The class-wise decoder: the same convolutions run once a class, then all classes are combined."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dis2_train.networks.paper.encoder import Features, Widths
from dis2_train.networks.paper.prenorm import PreNormConv

CLASS_WIDTH = 4
"""Channels that each class brings to the combination."""


class ClassStages(NamedTuple):
    """One class on its way up, coarse to fine; side heads look at each stage."""

    fourth: Tensor
    """The class map, (B, 256, H/16, W/16)."""
    third: Tensor
    """(B, 128, H/8, W/8)."""
    second: Tensor
    """(B, 64, H/4, W/4)."""
    first: Tensor
    """(B, 4, H/2, W/2)."""


class Decoded(NamedTuple):
    """What the decoder answers."""

    logits: Tensor
    """(B, K, H, W)."""
    penultimate: Tensor
    """The last features before the classifier, (B, 32, H, W)."""
    stages: list[ClassStages]
    """One for each class."""


class ClasswiseDecoder(nn.Module):
    """Bring each class map up to half size beside the fused levels, then combine K x 4 channels at full size."""

    def __init__(self, classes: int, widths: Widths) -> None:
        super().__init__()
        one, two, three, four = widths
        self.rise3, self.merge3 = PreNormConv(four, three), PreNormConv(2 * three, three)
        self.rise2, self.merge2 = PreNormConv(three, two), PreNormConv(2 * two, two)
        self.rise1, self.merge1 = PreNormConv(two, one), PreNormConv(2 * one, CLASS_WIDTH)
        self.combine = nn.Sequential(PreNormConv(CLASS_WIDTH * classes, two), PreNormConv(two, one))
        self.classify = nn.Conv2d(one, classes, kernel_size=1)

    def forward(self, fused: Features, class_maps: list[Tensor]) -> Decoded:
        """Decode `class_maps`, K of (B, 256, H/16, W/16), one after the other as the released code does."""
        stages = [self.rise(fused, class_map) for class_map in class_maps]
        together = torch.cat([enlarged(stage.first, 2) for stage in stages], dim=1)  # (B, 4K, H, W)
        penultimate = self.combine(together)
        return Decoded(self.classify(penultimate), penultimate, stages)

    def rise(self, fused: Features, class_map: Tensor) -> ClassStages:
        """One class from level 4 to level 1."""
        third = self.merge3(torch.cat((fused[2], self.rise3(enlarged(class_map, 2))), dim=1))
        second = self.merge2(torch.cat((fused[1], self.rise2(enlarged(third, 2))), dim=1))
        first = self.merge1(torch.cat((fused[0], self.rise1(enlarged(second, 2))), dim=1))
        return ClassStages(class_map, third, second, first)


class SideHeads(nn.Module):
    """Deep supervision: four predictions from the class stages, coarse to fine."""

    def __init__(self, classes: int, widths: Widths) -> None:
        super().__init__()
        _, two, three, four = widths
        widths_scales = ((four, 16), (three, 8), (two, 4), (CLASS_WIDTH, 2))
        self.levels = nn.ModuleList(SideHead(width, classes, scale) for width, scale in widths_scales)

    def forward(self, stages: list[ClassStages]) -> list[Tensor]:
        """Four class probability maps (B, K, H, W)."""
        return [head(level) for head, level in zip(self.levels, zip(*stages, strict=True), strict=True)]


class SideHead(nn.Module):
    """One 1x1 convolution a class gives that class's score, `scale` times smaller than the input."""

    def __init__(self, width: int, classes: int, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.scores = nn.ModuleList(nn.Conv2d(width, 1, kernel_size=1) for _ in range(classes))

    def forward(self, classes: tuple[Tensor, ...]) -> Tensor:
        """Class probabilities (B, K, H, W) from one map (B, width, H/scale, W/scale) a class."""
        scores = [score(features) for score, features in zip(self.scores, classes, strict=True)]
        return enlarged(torch.cat(scores, dim=1), self.scale).softmax(dim=1)


def enlarged(features: Tensor, factor: int) -> Tensor:
    """Bilinear enlargement whose corner pixels keep their place (`align_corners`)."""
    return F.interpolate(features, scale_factor=float(factor), mode="bilinear", align_corners=True)
