"""Pixel-level contrastive learning between two sensors: one class, one place, however it was seen.

L = - mean over anchors a and their positives p of log( e^(a.p/t) / (e^(a.p/t) + sum over negatives n of e^(a.n/t)) )

(InfoNCE) over unit vectors of a projection head. An anchor's first positive is the other sensor at the same place; more
are drawn from its class in the other sensor and in a memory bank, negatives from other classes. Semi-hard sampling: of
the positives the farthest tenth, of the negatives the nearest tenth. Temperature, weight and sizes are inferred.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH = 64
"""Numbers of an embedding."""
ANCHORS = 64
"""Places a class that are asked in a step, over the whole batch."""
REMEMBERED = 16
"""Embeddings a class and sensor that a step adds to the bank."""


class ProjectionHead(nn.Module):
    """Two 1x1 convolutions to unit vectors; training alone uses it.

    Each sensor's embeddings are standardised over the places of a step. Without that the farthest positives and the
    nearest negatives pull all of them into one point: the loss then stands at the logarithm of the number of negatives.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, inputs, 1, bias=False),
            nn.BatchNorm2d(inputs),
            nn.ReLU(),
            nn.Conv2d(inputs, WIDTH, 1, bias=False),
            nn.BatchNorm2d(WIDTH, affine=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) to unit vectors (B h w, 64), place after place."""
        embedded: Tensor = self.layers(x)
        return F.normalize(embedded.float(), dim=1).permute(0, 2, 3, 1).flatten(0, 2)


class MemoryBank(nn.Module):
    """The last embeddings of each class, over both sensors; a ring that forgets the oldest."""

    vectors: Tensor
    seen: Tensor

    def __init__(self, classes: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("vectors", torch.zeros(classes, size, WIDTH))
        self.register_buffer("seen", torch.zeros(classes, dtype=torch.int64))

    def of(self, label: int) -> Tensor:
        """What is remembered of a class: (n, 64), n up to the bank's size."""
        return self.vectors[label, : min(int(self.seen[label]), self.size)]

    @torch.no_grad()
    def remember(self, label: int, vectors: Tensor) -> None:
        """Add vectors (n, 64) of a class; of more than the bank holds, the last ones."""
        last = vectors[-self.size :]
        places = (int(self.seen[label]) + torch.arange(len(last), device=last.device)) % self.size
        self.vectors[label, places] = last.to(self.vectors.dtype)
        self.seen[label] += len(last)


def contrast(
    first: Tensor, second: Tensor, labels: Tensor, bank: MemoryBank, temperature: float, share: float
) -> Tensor:
    """The loss of embeddings (N, 64) of two sensors at the same places with labels (N,), or -1 where there is none.

    Fills `bank`, whose content counts from the next step on. 0 where no class of these labels has another one, here or
    remembered, to stand against.
    """
    drawn = {label: _draw(torch.where(labels == label)[0]) for label in range(len(bank.seen))}
    pools = {label: torch.cat([first[places], second[places], bank.of(label)]) for label, places in drawn.items()}
    terms = []
    for label, places in drawn.items():
        others = torch.cat([first[:0], *(pool for other, pool in pools.items() if other != label)])
        if not len(places) or not len(others):
            continue
        for anchors, partners in ((first[places], second[places]), (second[places], first[places])):
            mates = torch.cat([partners, bank.of(label)])
            terms.append(info_nce(anchors, partners, mates, others, temperature, share))
    for label, places in drawn.items():
        few = places[:REMEMBERED]
        bank.remember(label, torch.cat([first[few], second[few]]))
    return torch.stack(terms).mean() if terms else (first.sum() + second.sum()) * 0


def info_nce(anchors: Tensor, twins: Tensor, mates: Tensor, others: Tensor, temperature: float, share: float) -> Tensor:
    """InfoNCE of anchors (n, D), each with its twin (n, D), semi-hard `mates` (m, D) and `others` (k, D).

    Of `mates` the farthest `share` are positives, of `others` the nearest `share` are negatives, each at least one.
    """
    far = (anchors @ mates.t()).topk(_some(share, len(mates)), dim=1, largest=False).values
    near = (anchors @ others.t()).topk(_some(share, len(others)), dim=1).values / temperature
    positives = torch.cat([(anchors * twins).sum(dim=1, keepdim=True), far], dim=1) / temperature
    return F.softplus(near.logsumexp(dim=1, keepdim=True) - positives).mean()


def _some(share: float, count: int) -> int:
    return max(1, round(share * count))


def _draw(places: Tensor) -> Tensor:
    """At most `ANCHORS` of the places, in random order."""
    return places[torch.randperm(len(places), device=places.device)[:ANCHORS]]
