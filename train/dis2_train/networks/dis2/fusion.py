"""Hierarchical hybrid fusion: convolutions at three levels, self-attention over all tokens at the fourth."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dis2_train.networks.blocks import Add, Concat, ConvUnit, SelfAttention
from dis2_train.networks.dis2.encoder import Levels

HEADS = 8
REDUCTION = 2
"""Positions along a side that share one key, at least."""
MOST_KEYS = 8
"""Keys along a side of a slot, at most."""


class Fusion(nn.Module):
    """Joins the levels of two slots into F1..F4 and one global token; a scenario has its own copy."""

    def __init__(self, widths: tuple[int, int, int, int], token_grid: tuple[int, int]) -> None:
        super().__init__()
        w1, w2, w3, w4 = widths
        self.concat = Concat()
        self.fuse1, self.fuse2, self.fuse3 = (_fuse(width) for width in widths[:3])
        self.down1 = ConvUnit(w1, w2, kernel=4, stride=2, act=False)
        self.down2 = ConvUnit(w2, w3, kernel=4, stride=2, act=False)
        self.join2, self.join3 = Add(), Add()
        self.attention = FusionAttention(w3, w4, token_grid)
        self.fuse4 = ConvUnit(2 * w4, w4, kernel=1)

    def forward(self, first: Levels, second: Levels) -> tuple[Levels, Tensor]:
        """Levels of both slots to ((F1, F2, F3, F4), global token (B, w4))."""
        f1 = self.fuse1(self.concat(first[0], second[0]))
        f2 = self.join2(self.fuse2(self.concat(first[1], second[1])), self.down1(f1))
        f3 = self.join3(self.fuse3(self.concat(first[2], second[2])), self.down2(f2))
        joined, token = self.attention(f3, first[3], second[3])
        return (f1, f2, f3, self.fuse4(joined)), token


class FusionAttention(nn.Module):
    """Two post-norm Transformer layers over [fusion token | first slot | second slot | pooled F3]: 2 N + 2 tokens.

    Runs in floating point: attention loses when it is quantised (the softmax spans too many orders of magnitude).
    """

    def __init__(self, pooled: int, width: int, token_grid: tuple[int, int], layers: int = 2) -> None:
        super().__init__()
        self.pool = AttentionPool(pooled, width)
        self.token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.position = nn.Parameter(torch.randn(2, width, *token_grid) * 0.02)
        self.layers = nn.ModuleList(TransformerLayer(width, HEADS) for _ in range(layers))
        self.keys = Keys()

    def forward(self, f3: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """F3 (B, w3, 2h, 2w) and two maps (B, w4, h, w) to (maps (B, 2 w4, h, w), global token (B, w4))."""
        batch, _, height, width = first.shape
        places = self._positions(height, width)
        maps = [(slot + place).flatten(2).transpose(1, 2) for slot, place in zip((first, second), places, strict=True)]
        x = torch.cat([self.token.expand(batch, -1, -1), *maps, self.pool(f3).unsqueeze(1)], dim=1)  # (B, 2N+2, w4)
        count = height * width
        for layer in self.layers:
            x = layer(x, self.keys(x, height, width))
        slots = x[:, 1 : 1 + 2 * count].transpose(1, 2)  # (B, w4, 2N)
        halves = [slots[:, :, :count], slots[:, :, count:]]
        joined = torch.cat([half.unflatten(2, (height, width)) for half in halves], dim=1)
        return joined, x[:, 0]

    def _positions(self, height: int, width: int) -> Tensor:
        """Position embeddings (2, w4, h, w); interpolated when the input is not of the trained size."""
        if self.position.shape[2:] == (height, width):
            return self.position
        return F.interpolate(self.position, size=(height, width), mode="bilinear", align_corners=False)


class AttentionPool(nn.Module):
    """One token from a map: each position is weighed by a small network, softmax over positions."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weigh = nn.Sequential(
            nn.Linear(inputs, inputs), nn.ReLU(), nn.Linear(inputs, inputs), nn.ReLU(), nn.Linear(inputs, 1)
        )
        self.project = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs)."""
        tokens = x.flatten(2).transpose(1, 2)  # (B, N, C)
        weights = self.weigh(tokens).softmax(dim=1)  # (B, N, 1)
        out: Tensor = self.project((weights * tokens).sum(dim=1))
        return out


class Keys(nn.Module):
    """The tokens that are asked: both slots averaged over squares, the first and the last token as they are.

    Every position still asks, so no resolution is lost where it is used; scores, the dearest part, cost a quarter or
    less. Squares are of 2x2 positions, or larger, so that a slot has 8x8 keys at most: from 512x512 pixels on 4x4.
    """

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        """Tokens (B, 2 N + 2, C) of slots h x w to (B, 2 M + 2, C) for M squares."""
        slots = x[:, 1:-1].transpose(1, 2).unflatten(2, (2, height, width)).flatten(1, 2)  # (B, 2 C, h, w)
        square = _side(height), _side(width)
        means = F.avg_pool2d(slots, square, ceil_mode=True).flatten(2)  # (B, 2 C, M)
        pooled = means.unflatten(1, (-1, 2)).flatten(2).transpose(1, 2)
        return torch.cat([x[:, :1], pooled, x[:, -1:]], dim=1)


class TransformerLayer(nn.Module):
    """Post-norm encoder layer: self-attention, then a feed-forward network as wide as the token."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.query, self.key_value = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.core = SelfAttention(heads)
        self.out = nn.Linear(width, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.wide, self.narrow = nn.Linear(width, width), nn.Linear(width, width)
        self.drop = nn.Dropout(0.1)

    def forward(self, x: Tensor, keys: Tensor) -> Tensor:
        """Tokens (B, N, width) that ask, and tokens (B, M, width) that are asked, to tokens (B, N, width)."""
        k, v = self.key_value(keys).chunk(2, dim=2)
        x = self.norm1(x + self.drop(self.out(self.core(self.query(x), k, v))))
        inner = self.drop(F.relu(self.wide(x)))
        out: Tensor = self.norm2(x + self.drop(self.narrow(inner)))
        return out


def _side(positions: int) -> int:
    """Side of a square of positions that share a key."""
    return max(REDUCTION, math.ceil(positions / MOST_KEYS))


def _fuse(width: int) -> nn.Sequential:
    return nn.Sequential(ConvUnit(2 * width, width, kernel=1), ConvUnit(width, width), ConvUnit(width, width, kernel=1))


def token_grid(grid: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the fourth level for an input of `grid` pixels."""
    return math.ceil(grid[0] / 16), math.ceil(grid[1] / 16)
