"""Hierarchical hybrid fusion: convolutions fuse levels 1 to 3, a small Transformer fuses level 4."""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dis2_train.networks.paper.attention import AttentionPool, TokenMixer
from dis2_train.networks.paper.encoder import Features, Widths, halving
from dis2_train.networks.paper.prenorm import PreNormConv


class Fused(NamedTuple):
    """What fusion makes of two sensors."""

    levels: Features
    """F1 to F4, of the shapes of one sensor's features."""
    token: Tensor
    """The global fused token, (B, 256)."""


class HierarchicalFusion(nn.Module):
    """Fuse the features of the two slots; a stand-in's features fill the slot of a missing sensor.

    `size` is height and width of level 4. The position embeddings hold one vector a position of it, so that the network
    reads one input size only (released fault, kept).
    """

    def __init__(self, size: tuple[int, int], widths: Widths) -> None:
        super().__init__()
        one, two, three, _ = widths
        self.fuse1, self.fuse2, self.fuse3 = _level(one), _level(two), _level(three)
        self.descend1 = nn.Sequential(halving(one, two), nn.BatchNorm2d(two))
        self.descend2 = nn.Sequential(halving(two, three), nn.BatchNorm2d(three))
        self.deep = TokenFusion(size, widths)

    def forward(self, first: Features, second: Features) -> Fused:
        """Fuse slot by slot; the order of the slots is the task's order of sensors."""
        fused1 = self.fuse1(torch.cat((first[0], second[0]), dim=1))
        fused2 = self.fuse2(torch.cat((first[1], second[1]), dim=1)) + self.descend1(fused1)
        fused3 = self.fuse3(torch.cat((first[2], second[2]), dim=1)) + self.descend2(fused2)
        fused4, token = self.deep(first[3], second[3], fused3)
        return Fused((fused1, fused2, fused3, fused4), token)


class TokenFusion(nn.Module):
    """Level 4: [fusion token, positions of slot 1, positions of slot 2, pooled F3] through two `TokenMixer` layers."""

    def __init__(self, size: tuple[int, int], widths: Widths) -> None:
        super().__init__()
        self.size, self.positions = size, size[0] * size[1]
        third, width = widths[2:]
        self.pool = AttentionPool(third)
        self.project = nn.Linear(third, width)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.place1 = nn.Parameter(torch.zeros(1, self.positions, width))
        self.place2 = nn.Parameter(torch.zeros(1, self.positions, width))
        mixer = TokenMixer(width)
        # Equal weights at the start, as torch.nn.TransformerEncoder copies its layer.
        self.mixers = nn.Sequential(mixer, copy.deepcopy(mixer))
        self.unify = nn.Conv2d(2 * width, width, kernel_size=1)

    def forward(self, first: Tensor, second: Tensor, third: Tensor) -> tuple[Tensor, Tensor]:
        """F4 (B, 256, h, w) and the global token (B, 256) from both slots' level 4 and from F3."""
        tokens1 = first.flatten(2).transpose(1, 2) + self.place1  # (B, N, 256)
        tokens2 = second.flatten(2).transpose(1, 2) + self.place2
        pooled = self.project(self.pool(third)).unsqueeze(1)  # (B, 1, 256)
        token = self.token.expand(first.shape[0], -1, -1)
        mixed = self.mixers(torch.cat((token, tokens1, tokens2, pooled), dim=1))  # (B, 2N + 2, 256)
        middle = self.positions + 1
        maps = torch.cat((self._map(mixed[:, 1:middle]), self._map(mixed[:, middle:-1])), dim=1)
        return self.unify(maps), mixed[:, 0]

    def _map(self, tokens: Tensor) -> Tensor:
        """(B, N, C) back to (B, C, h, w)."""
        return torch.unflatten(tokens.transpose(1, 2), -1, self.size)


def _level(width: int) -> nn.Sequential:
    """Two slots of `width` channels, concatenated, to one."""
    return nn.Sequential(
        PreNormConv(2 * width, width, kernel=1, pad="zeros"),
        PreNormConv(width, width, kernel=3, pad="zeros"),
        PreNormConv(width, width, kernel=1, pad="zeros"),
    )
