"""The export wrapper: a network between raw frames and a mask, as a model file of io `frame` computes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dis2_edge.sensors import Sensor
from dis2_train.networks.blocks import SelfAttention


class FrameModel(nn.Module):
    """Frames HxWxC, in each sensor's unit, to `mask` and `confidence` (H, W) uint8, 255 = certain."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *frames: Tensor) -> tuple[Tensor, Tensor]:
        """One frame a sensor, in the scenario's order."""
        height, width = (int(size) for size in frames[0].shape[:2])
        classes = self.network(*frames).reshape(-1, height, width).unbind(0)
        best = classes[0]
        for logits in classes[1:]:
            best = torch.maximum(best, logits)
        certain = sum((logits - best).exp() for logits in classes).reciprocal()  # softmax of the largest logit
        return first_of(classes, best), (certain * 255 + 0.5).to(torch.uint8)


def first_of(classes: Sequence[Tensor], best: Tensor) -> Tensor:
    """(H, W) uint8: the first of `classes`, each (H, W), that reaches `best`.

    Class by class, for ONNX Runtime's reductions over classes that lie a map apart take ten times as long.
    """
    mask = torch.full((1, 1), len(classes) - 1, dtype=torch.uint8)
    for place in reversed(range(len(classes) - 1)):
        mask = torch.where(classes[place] >= best, torch.tensor(place, dtype=torch.uint8), mask)
    return mask if len(classes) > 1 else mask.expand(best.shape)


class FromFrames(nn.Module):
    """A network of normalised maps that takes raw frames instead."""

    def __init__(self, network: nn.Module, sensors: tuple[Sensor, ...]) -> None:
        super().__init__()
        self.network = network
        self.normalise = nn.ModuleList(Normalise(sensor) for sensor in sensors)

    def forward(self, *frames: Tensor) -> Tensor:
        """One frame (H, W, C) a sensor, in the scenario's order, to logits (1, K, H, W)."""
        logits: Tensor = self.network(*(norm(frame) for norm, frame in zip(self.normalise, frames, strict=True)))
        return logits


class Normalise(nn.Module):
    """(H, W, C) in the sensor's unit to (1, C, H, W) float: (x - mean) / std, as one product and one sum.

    Channels come first before the arithmetic: it is several times faster where they are not the innermost axis.
    """

    scale: Tensor
    offset: Tensor

    def __init__(self, sensor: Sensor) -> None:
        super().__init__()
        std, mean = (torch.tensor(values).view(1, -1, 1, 1) for values in (sensor.std, sensor.mean))
        self.register_buffer("scale", 1 / std)
        self.register_buffer("offset", mean / std)

    def forward(self, frame: Tensor) -> Tensor:
        """One frame, of any number type."""
        return frame.permute(2, 0, 1).unsqueeze(0).float() * self.scale - self.offset


class _FusedAttention(torch.autograd.Function):
    """ONNX Runtime's fused attention operator; exists only while a file is written."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
        """Any tensor of the right shape: tracing needs no more, and trips over more."""
        return q

    @staticmethod
    def symbolic(graph: Any, q: Any, k: Any, v: Any, heads: int) -> Any:
        """The node that the file gets."""
        return graph.op("com.microsoft::MultiHeadAttention", q, k, v, num_heads_i=heads).setType(q.type())


class FusedSelfAttention(nn.Module):
    """Stands for a SelfAttention in a file of the `ort` dialect: the score matrix is never written to memory."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Queries (B, N, width), keys and values (B, M, width) to (B, N, width)."""
        out: Tensor = _FusedAttention.apply(q, k, v, self.heads)  # type: ignore[no-untyped-call]
        return out


def fuse_attention(network: nn.Module) -> nn.Module:
    """Put the fused operator in the place of every self-attention; the network then only exports."""
    for name, module in list(network.named_modules()):
        if isinstance(module, SelfAttention):
            parent, _, child = name.rpartition(".")
            setattr(network.get_submodule(parent), child, FusedSelfAttention(module.heads))
    return network
