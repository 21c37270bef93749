"""Class-wise feature learning and the class-wise decoder, all classes as one batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dis2_train.networks.blocks import Add, ConvUnit, Enlarge, Regroup
from dis2_train.networks.dis2.encoder import Levels


class ClasswiseAttention(nn.Module):
    """K learned queries re-weight the positions of F4, one map a class: softmax over positions of q_k . F4 / sqrt(C).

    The weights are scaled by the number of positions, so that uniform attention leaves F4 as it is at every input size;
    unscaled, as released, the maps vanish under the epsilon of the norm that follows.
    """

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(nn.init.xavier_uniform_(torch.empty(classes, width)))

    def forward(self, f4: Tensor) -> Tensor:
        """F4 (B, C, h, w) to class maps (B K, C, h, w)."""
        places = f4.flatten(2)  # (B, C, N)
        scores = torch.matmul(self.queries, places) * self.queries.shape[1] ** -0.5  # (B, K, N)
        weights = scores.softmax(dim=2) * places.shape[2]
        maps = weights.unsqueeze(2) * places.unsqueeze(1)  # (B, K, C, N)
        shaped: Tensor = maps.flatten(0, 1).unflatten(2, f4.shape[2:])
        return shaped


class ClasswiseStage(nn.Module):
    """Twice a 3x3 convolution before enlarging, then the fused map of the finer level is added.

    A convolution of (class map, fused map) put behind each other equals the sum of one on each; the fused map's is the
    same for every class, so it is computed once and not K times.
    """

    def __init__(self, inputs: int, middle: int, outputs: int, lateral: int) -> None:
        super().__init__()
        self.reduce = ConvUnit(inputs, middle)
        self.shape = ConvUnit(middle, outputs, act=False)
        self.enlarge = Enlarge(2)
        self.lateral = ConvUnit(lateral, outputs, act=False)
        self.join = Add()

    def forward(self, x: Tensor, fused: Tensor) -> Tensor:
        """Class maps (B K, inputs, h, w) and a fused map (B, lateral, 2h, 2w) to (B K, outputs, 2h, 2w)."""
        out: Tensor = self.join(self.enlarge(self.shape(self.reduce(x))), self.lateral(fused))
        return out


class ClasswiseDecoder(nn.Module):
    """From class maps and F1..F3 to logits; the last convolutions run at half size."""

    def __init__(self, classes: int, widths: tuple[int, int, int, int], per_class: int = 4) -> None:
        super().__init__()
        w1, w2, w3, w4 = widths
        self.classes = classes
        self.attention = ClasswiseAttention(classes, w4)
        self.stage3 = ClasswiseStage(w4, w3, w3, lateral=w3)
        self.stage2 = ClasswiseStage(w3, w2, w2, lateral=w2)
        self.stage1 = ClasswiseStage(w2, w1, per_class, lateral=w1)
        self.gather = Regroup(classes)
        self.mix = ConvUnit(classes * per_class, 2 * w1)
        self.refine = ConvUnit(2 * w1, w1)
        self.head = nn.Conv2d(w1, classes, 1)
        self.enlarge = Enlarge(2)

    def forward(self, fused: Levels) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """F1..F4 to (logits (B, K, H, W), penultimate map (B, w1, H/2, W/2), class maps of the four scales)."""
        f1, f2, f3, f4 = fused
        c4 = self.attention(f4)
        c3 = self.stage3(c4, f3)
        c2 = self.stage2(c3, f2)
        c1 = self.stage1(c2, f1)
        penultimate = self.refine(self.mix(self.gather(c1)))
        return self.enlarge(self.head(penultimate)), penultimate, (c4, c3, c2, c1)


class SideHeads(nn.Module):
    """Deep supervision: at each scale one 1x1 convolution a class, from that class's own map to its logit."""

    def __init__(self, classes: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.weights = nn.ParameterList(torch.randn(classes, width) * width**-0.5 for width in channels)
        self.biases = nn.ParameterList(torch.zeros(classes) for _ in channels)

    def forward(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Class maps (B K, C, h, w) of each scale to logits (B, K, h, w) of each scale."""
        out = []
        for x, weight, bias in zip(maps, self.weights, self.biases, strict=True):
            # Channels last in memory, as training keeps them, this order of axes needs no copy of the maps.
            places = x.flatten(2).transpose(1, 2).unflatten(0, (-1, weight.shape[0]))  # (B, K, N, C)
            logits = torch.matmul(places, weight.unsqueeze(2)).squeeze(3) + bias[:, None]  # (B, K, N)
            out.append(logits.unflatten(2, x.shape[2:]))
        return tuple(out)
