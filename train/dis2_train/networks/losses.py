"""Loss terms of our own networks: supervision, disentanglement, distillation (arXiv 2601.13502, faults mended)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dis2_train.parallel import summed


@dataclass(frozen=True)
class Truth:
    """The labels of a step, spread once for all of its supervised terms."""

    target: Tensor
    """(B, H, W) int64: class index, or `ignore`."""
    ignore: int
    """Label index that counts nowhere."""
    weight: Tensor
    """(B, H, W) float: 1 - n_bk / n_b of the class k that the pixel has in its image b; 0 where ignored."""
    known: Tensor
    """(B, H, W) float: 1 where there is a label."""
    counts: Tensor
    """(K,) float: labelled pixels of each class in the batch, over all processes that train together."""

    @classmethod
    def of(cls, target: Tensor, classes: int, ignore: int) -> Truth:
        """Spread `target` (B, H, W) int64 of `classes` classes."""
        known = target != ignore
        rows = torch.where(known, target, classes).flatten(1)  # ignored pixels go to a last column
        counts = torch.zeros(len(target), classes + 1, device=target.device)
        counts.scatter_add_(1, rows, torch.ones_like(rows, dtype=counts.dtype))
        counts[:, classes] = 0
        weights = 1 - counts / counts.sum(dim=1, keepdim=True).clamp(min=1)  # (B, K + 1)
        weights[:, classes] = 0
        weight = weights.gather(1, rows).view(target.shape)
        return cls(target, ignore, weight, known.float(), summed(counts[:, :classes].sum(dim=0)))


def supervised(logits: Tensor, truth: Truth) -> Tensor:
    """Weighted cross-entropy plus Dice of logits (B, K, h, w), enlarged to the size of the labels.

    Rare classes count more (`Truth.weight`); ignored pixels count nowhere.
    """
    size = truth.target.shape[1:]
    if logits.shape[2:] != size:
        logits = F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
    logs = logits.float().log_softmax(dim=1)
    misses = F.nll_loss(logs, truth.target, ignore_index=truth.ignore, reduction="none")  # (B, H, W)
    entropy = summed((misses * truth.weight).sum()) / truth.counts.sum().clamp(min=1)
    return entropy + dice(logs.exp(), truth)


def dice(probability: Tensor, truth: Truth) -> Tensor:
    """1 - mean over classes of 2 |p y| / (|p| + |y|); probability (B, K, H, W).

    Sums are over batch, space and all processes that train together.
    """
    classes = probability.shape[1]
    places = truth.target.clamp(max=classes - 1)
    right = probability.gather(1, places.unsqueeze(1)).squeeze(1) * truth.known  # (B, H, W)
    hit = probability.new_zeros(classes).index_add(0, places.flatten(), right.flatten())
    said = torch.matmul(probability.flatten(2), truth.known.flatten(1).unsqueeze(2)).sum(dim=(0, 2))
    hit, said = summed(torch.stack([hit, said])).unbind()
    return 1 - ((2 * hit + 1) / (said + truth.counts + 1)).mean()


def disentanglement(stand_in: Tensor, present: Tensor) -> Tensor:
    """Mean squared cosine between two feature maps (B, C, h, w) at each position: 0 when they say different things.

    Measured on the maps themselves: behind two trained poolings, as released, the poolings can satisfy it alone.
    """
    return F.cosine_similarity(stand_in.float(), present.float(), dim=1).square().mean()


def feature_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared distance of L2-normalised channel vectors; (B, C, ...) each, teacher detached."""
    return 2 - 2 * F.cosine_similarity(student.float(), teacher.detach().float(), dim=1).mean()


def logit_distance(student: Tensor, teacher: Tensor, temperature: float, truth: Truth, balance: bool = True) -> Tensor:
    """T^2 KL(teacher || student) of logits (B, K, H, W): summed over classes, mean over labelled pixels.

    With `balance` the mean is weighted by `truth.weight`. A student that cannot see what its teacher sees answers a
    plain mean, the paper's, with the teacher's average, which is the common class: it stops finding the rare one. So
    the teacher is heard class by class, as the labels are.
    """
    teacher_logs = (teacher.detach().float() / temperature).log_softmax(dim=1)
    student_logs = (student.float() / temperature).log_softmax(dim=1)
    pixelwise = (teacher_logs.exp() * (teacher_logs - student_logs)).sum(dim=1)  # (B, H, W)
    weight = truth.weight if balance else truth.known
    apart, total = summed(torch.stack([(pixelwise * weight).sum(), weight.sum()])).unbind()
    return apart / total.clamp(min=1) * temperature**2
