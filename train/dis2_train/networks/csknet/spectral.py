"""The gated spectral unit: what of both sensors' maps the fusion head gets to see (arXiv 2312.02240, section 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dis2_train.networks.blocks import Add, ConvUnit


class GatedSpectralUnit(nn.Module):
    """h = sum over u in {F_o, F_i, F_o + F_i} of tanh(W_u u) * sigmoid(V_u u).

    W and V are 1x1 convolutions (inferred) with a batch norm each, so that tanh starts where it is not flat.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.tone = nn.ModuleList(ConvUnit(width, width, 1, act=False) for _ in range(3))
        self.gate = nn.ModuleList(ConvUnit(width, width, 1, act=False) for _ in range(3))
        self.join = Add()  # both maps come out of a ReLU, so the sum's own changes nothing

    def forward(self, optical: Tensor, infrared: Tensor) -> Tensor:
        """Two maps (B, C, h, w), nowhere negative, to one."""
        seen = (optical, infrared, self.join(optical, infrared))
        told = [
            torch.tanh(tone(u)) * torch.sigmoid(gate(u))
            for tone, gate, u in zip(self.tone, self.gate, seen, strict=True)
        ]
        return told[0] + told[1] + told[2]


class PlainMean(nn.Module):
    """The mean of both maps: the fusion without gates, for an ablation."""

    def forward(self, optical: Tensor, infrared: Tensor) -> Tensor:
        """Two maps (B, C, h, w) to one."""
        return (optical + infrared) * 0.5
