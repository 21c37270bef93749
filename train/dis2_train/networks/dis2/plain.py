"""What stands in for a part of DIS2 that an ablation takes out: a plain decoder, a flat fusion; and which is built.

Neither costs more than the part that it replaces; docs/training.md ("Baselines") has the figures.
"""

from __future__ import annotations

from torch import Tensor, nn

from dis2_edge.recipe import Recipe
from dis2_train.networks.blocks import Concat, ConvUnit, Enlarge
from dis2_train.networks.dis2.classwise import ClasswiseDecoder, ClasswiseStage, SideHeads
from dis2_train.networks.dis2.encoder import Levels
from dis2_train.networks.dis2.fusion import Fusion

Widths = tuple[int, int, int, int]


def make_fusion(recipe: Recipe, widths: Widths, token_grid: tuple[int, int]) -> Fusion | FlatFusion:
    """The fusion that `recipe.hierarchical` asks for."""
    return Fusion(widths, token_grid) if recipe.hierarchical else FlatFusion(widths)


def make_decoder(recipe: Recipe, classes: int, widths: Widths) -> ClasswiseDecoder | PlainDecoder:
    """The decoder that `recipe.classwise` asks for."""
    return ClasswiseDecoder(classes, widths) if recipe.classwise else PlainDecoder(classes, widths)


def make_side_heads(recipe: Recipe, classes: int, widths: Widths) -> SideHeads | PlainSideHeads:
    """The heads of deep supervision that belong to the decoder."""
    w1, w2, w3, w4 = widths
    if recipe.classwise:
        return SideHeads(classes, (w4, w3, w2, 4))
    return PlainSideHeads(classes, (w4, w3, w2, w1))


class FlatFusion(nn.Module):
    """Each level of two slots put side by side and mixed by a 1x1 convolution; levels know nothing of each other."""

    def __init__(self, widths: Widths) -> None:
        super().__init__()
        self.concat = Concat()
        self.fuse1, self.fuse2, self.fuse3, self.fuse4 = (ConvUnit(2 * width, width, kernel=1) for width in widths)

    def forward(self, first: Levels, second: Levels) -> tuple[Levels, Tensor]:
        """Levels of both slots to ((F1, F2, F3, F4), mean of F4 (B, w4)), which stands where the global token does."""
        f1 = self.fuse1(self.concat(first[0], second[0]))
        f2 = self.fuse2(self.concat(first[1], second[1]))
        f3 = self.fuse3(self.concat(first[2], second[2]))
        f4 = self.fuse4(self.concat(first[3], second[3]))
        return (f1, f2, f3, f4), f4.mean(dim=(2, 3))


class PlainDecoder(nn.Module):
    """The class-wise decoder's stages run once for all classes, on F4 as it is; the last stage is as wide as F1."""

    def __init__(self, classes: int, widths: Widths) -> None:
        super().__init__()
        w1, w2, w3, w4 = widths
        self.stage3 = ClasswiseStage(w4, w3, w3, lateral=w3)
        self.stage2 = ClasswiseStage(w3, w2, w2, lateral=w2)
        self.stage1 = ClasswiseStage(w2, w1, w1, lateral=w1)
        self.mix = ConvUnit(w1, 2 * w1)
        self.refine = ConvUnit(2 * w1, w1)
        self.head = nn.Conv2d(w1, classes, 1)
        self.enlarge = Enlarge(2)

    def forward(self, fused: Levels) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """F1..F4 to (logits (B, K, H, W), penultimate map (B, w1, H/2, W/2), maps of the four scales)."""
        f1, f2, f3, f4 = fused
        c3 = self.stage3(f4, f3)
        c2 = self.stage2(c3, f2)
        c1 = self.stage1(c2, f1)
        penultimate = self.refine(self.mix(c1))
        return self.enlarge(self.head(penultimate)), penultimate, (f4, c3, c2, c1)


class PlainSideHeads(nn.Module):
    """Deep supervision of a plain decoder: a 1x1 convolution at each scale."""

    def __init__(self, classes: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Conv2d(width, classes, 1) for width in channels)

    def forward(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Maps (B, C, h, w) of each scale to logits (B, K, h, w) of each scale."""
        return tuple(head(x) for head, x in zip(self.heads, maps, strict=True))
