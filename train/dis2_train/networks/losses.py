"""Loss terms of our own networks: supervision, disentanglement, distillation (arXiv 2601.13502, faults mended)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def supervised(logits: Tensor, target: Tensor, ignore: int) -> Tensor:
    """Weighted cross-entropy plus Dice of logits (B, K, h, w), enlarged to the size of `target` (B, H, W).

    The weight of class k in image b is 1 - n_bk / n_b: rare classes count more. Ignored pixels count nowhere.
    """
    if logits.shape[2:] != target.shape[1:]:
        logits = F.interpolate(logits, size=target.shape[1:], mode="bilinear", align_corners=False)
    known = (target != ignore).unsqueeze(1)  # (B, 1, H, W)
    truth = _one_hot(target, logits.shape[1], ignore)
    logs = logits.float().log_softmax(dim=1)
    counts = truth.sum(dim=(2, 3))
    weights = 1 - counts / counts.sum(dim=1, keepdim=True).clamp(min=1)  # (B, K)
    entropy = -(truth * logs * weights[:, :, None, None]).sum() / known.sum().clamp(min=1)
    return entropy + dice(logs.exp() * known, truth)


def dice(probability: Tensor, truth: Tensor) -> Tensor:
    """1 - mean over classes of 2 |p y| / (|p| + |y|), sums over batch and space; both (B, K, H, W)."""
    hit = (probability * truth).sum(dim=(0, 2, 3))
    total = (probability + truth).sum(dim=(0, 2, 3))
    return 1 - ((2 * hit + 1) / (total + 1)).mean()


def disentanglement(stand_in: Tensor, present: Tensor) -> Tensor:
    """Mean squared cosine between two feature maps (B, C, h, w) at each position: 0 when they say different things.

    Measured on the maps themselves: behind two trained poolings, as released, the poolings can satisfy it alone.
    """
    return F.cosine_similarity(stand_in.float(), present.float(), dim=1).square().mean()


def feature_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared distance of L2-normalised channel vectors; (B, C, ...) each, teacher detached."""
    return 2 - 2 * F.cosine_similarity(student.float(), teacher.detach().float(), dim=1).mean()


def logit_distance(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T^2 KL(teacher || student) of logits (B, K, H, W): summed over classes, mean over pixels."""
    teacher_logs = (teacher.detach().float() / temperature).log_softmax(dim=1)
    student_logs = (student.float() / temperature).log_softmax(dim=1)
    pixelwise = (teacher_logs.exp() * (teacher_logs - student_logs)).sum(dim=1)
    return pixelwise.mean() * temperature**2


def _one_hot(target: Tensor, classes: int, ignore: int) -> Tensor:
    """(B, H, W) to (B, K, H, W) float; all zeros where ignored."""
    known = target != ignore
    hot = F.one_hot(torch.where(known, target, 0), classes) * known.unsqueeze(-1)
    return hot.movedim(-1, 1).float()
