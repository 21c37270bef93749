"""The losses of the released code, term by term; supervised ones leave out pixels that the task ignores.

The released data had no ignored pixels: without any, every value here equals the released one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from dis2_train.parallel import summed

_TINY = 1e-7
_LEAST_PROBABILITY = 0.005


@dataclass(frozen=True)
class Truth:
    """The labels of a batch, spread for the supervised losses."""

    one_hot: Tensor
    """(B, K, H, W) float, 1 at the pixel's class; all 0 where ignored."""
    valid: Tensor
    """(B, 1, H, W) float, 0 where ignored, else 1."""

    @classmethod
    def of(cls, target: Tensor, classes: int, ignore: int) -> Truth:
        """Spread `target` (B, H, W) int64 over `classes`."""
        valid = target != ignore
        one_hot = F.one_hot(target.where(valid, torch.zeros_like(target)), classes).permute(0, 3, 1, 2)
        kept = valid.unsqueeze(1).float()
        return cls(one_hot.float() * kept, kept)


def supervised(predictions: Tensor, truth: Truth) -> Tensor:
    """S(p) of class probabilities (B, K, H, W): weighted cross-entropy plus Dice."""
    return weighted_cross_entropy(predictions, truth) + dice(predictions, truth)


def supervised_sum(predictions: Iterable[Tensor], truth: Truth) -> Tensor:
    """S summed over several predictions of the same labels."""
    return torch.stack([supervised(prediction, truth) for prediction in predictions]).sum()


def weighted_cross_entropy(predictions: Tensor, truth: Truth) -> Tensor:
    """Cross-entropy in which class k of image b weighs 1 minus its share of b's pixels.

    Averaged over classes too (released fault, kept: weaker by a factor K than it looks).
    """
    pixels = truth.one_hot.sum(dim=(2, 3), keepdim=True)  # (B, K, 1, 1)
    weights = 1 - pixels / (pixels.sum(dim=1, keepdim=True) + _TINY)
    surprise = -predictions.clamp(_LEAST_PROBABILITY, 1.0).log()
    counted = summed(truth.valid.sum()).clamp(min=1) * predictions.shape[1]
    return summed((weights * truth.one_hot * surprise).sum()) / counted


def dice(predictions: Tensor, truth: Truth) -> Tensor:
    """One minus the mean over classes of the Dice score, sums taken over batch, space and processes together."""
    kept = predictions * truth.valid
    common = (kept * truth.one_hot).sum(dim=(0, 2, 3))
    sizes = kept.sum(dim=(0, 2, 3)) + truth.one_hot.sum(dim=(0, 2, 3))
    common, sizes = summed(torch.stack([common, sizes])).unbind()
    return 1 - (2 * common / (sizes + _TINY)).mean()


def overlap(stand_in: Sequence[Tensor], present: Sequence[Tensor]) -> Tensor:
    """Disentanglement: cos² between pooled stand-in and pooled present features, batch mean, summed over levels."""
    cosines = [
        (F.normalize(one, dim=-1) * F.normalize(other, dim=-1)).sum(dim=-1)
        for one, other in zip(stand_in, present, strict=True)
    ]
    return torch.stack([cosine.square().mean() for cosine in cosines]).sum()


def feature_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of vectors (B, C) or maps (B, C, H, W), each scaled to length 1 over C; teacher fixed."""
    ours, theirs = (F.normalize(features, dim=1, eps=1e-6) for features in (student, teacher.detach()))
    return F.mse_loss(ours, theirs)


def logit_divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² KL(teacher || student) of softened logits (B, K, H, W); teacher fixed.

    Averaged over classes and pixels too (released fault, kept).
    """
    soft = (teacher.detach() / temperature).softmax(dim=1)
    log_ours = (student / temperature).log_softmax(dim=1)
    return F.kl_div(log_ours, soft, reduction="none").mean() * temperature**2
