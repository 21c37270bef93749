"""Attention in three forms: pooling a map to a vector, mixing tokens, and looking for one class at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dis2_train.networks.paper.encoder import Widths

HEADS = 8
"""Attention heads, of 32 channels each at width 256."""
DROPOUT = 0.1
"""Share of values that training drops in a `TokenMixer`."""


class AttentionPool(nn.Module):
    """Pool a map to one vector: a small perceptron scores each pixel, a softmax over pixels weighs them."""

    def __init__(self, width: int, *, hidden: int = 128) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C)."""
        pixels = features.flatten(2).transpose(1, 2)  # (B, N, C)
        weights: Tensor = self.score(pixels).softmax(dim=1)  # (B, N, 1)
        return (pixels * weights).sum(dim=1)


class LevelPools(nn.Module):
    """One `AttentionPool` for each of the levels 1 to 3; the losses compare features through them."""

    def __init__(self, widths: Widths) -> None:
        super().__init__()
        self.levels = nn.ModuleList(AttentionPool(width) for width in widths[:3])

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Three vectors (B, widths[i]); a fourth level, if given, is not read."""
        return [pool(level) for pool, level in zip(self.levels, features, strict=False)]


class TokenMixer(nn.Module):
    """A post-norm Transformer encoder layer whose feed-forward part is as wide as its tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(width, 3 * width)
        self.join = nn.Linear(width, width)
        self.widen = nn.Linear(width, width)
        self.narrow = nn.Linear(width, width)
        self.norm_attention = nn.LayerNorm(width)
        self.norm_forward = nn.LayerNorm(width)
        self.drop = nn.Dropout(DROPOUT)
        # torch.nn.MultiheadAttention starts so, and the released code uses it.
        nn.init.xavier_uniform_(self.project.weight)
        nn.init.zeros_(self.project.bias)
        nn.init.zeros_(self.join.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, width) to the same shape."""
        tokens = self.norm_attention(tokens + self.drop(self.attend(tokens)))
        inner = self.narrow(self.drop(F.relu(self.widen(tokens))))
        mixed: Tensor = self.norm_forward(tokens + self.drop(inner))
        return mixed

    def attend(self, tokens: Tensor) -> Tensor:
        """Self-attention of `HEADS` heads, (B, N, width) to the same shape."""
        parts = torch.unflatten(self.project(tokens), -1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)  # (3, B, heads, N, d)
        dropout = DROPOUT if self.training else 0.0
        heads = F.scaled_dot_product_attention(parts[0], parts[1], parts[2], dropout_p=dropout)
        joined: Tensor = self.join(heads.transpose(1, 2).flatten(2))
        return joined


class ClasswiseAttention(nn.Module):
    """Class-wise feature learning: one learned query a class weighs the positions of the fused map.

    The softmax runs over positions and nothing is summed, so each class map is the fused map scaled by weights of about
    one over the number of positions. Released fault, kept: that is so small that the next normalisation's epsilon
    dominates its variance.
    """

    def __init__(self, width: int, classes: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.classes, self.size = classes, size
        self.scale = 1 / math.sqrt(width)
        self.queries = nn.Parameter(torch.empty(classes, width))
        nn.init.xavier_uniform_(self.queries)

    def forward(self, fused: Tensor) -> list[Tensor]:
        """One re-weighted copy (B, C, h, w) of `fused` (B, C, h, w) a class."""
        scores = torch.matmul(self.queries, fused.flatten(2)) * self.scale  # (B, K, N)
        weights = torch.unflatten(scores.softmax(dim=-1), -1, self.size)  # (B, K, h, w)
        return [fused * weights[:, index : index + 1] for index in range(self.classes)]
