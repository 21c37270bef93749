"""What a student is told: the labels, and what the FP32 full-sensor network says and holds at its taps."""

from __future__ import annotations

import torch
from torch import Tensor

from dis2_edge.recipe import Recipe
from dis2_train.data.batches import Batch
from dis2_train.networks.losses import Truth, feature_distance, logit_distance, supervised
from dis2_train.networks.seam import Network, Output


def taught(teacher: Network, batch: Batch, taps: tuple[str, ...], recipe: Recipe) -> Output | None:
    """The teacher's logits and `taps` of a batch, seen with every sensor; None where labels alone teach."""
    if recipe.quantize_lesson == "labels":
        return None
    with torch.no_grad():
        return teacher(batch.frames, teacher.task.full, taps)  # type: ignore[no-any-return]


def lesson(student: Output, teacher: Output | None, target: Tensor, recipe: Recipe, ignore: int) -> Tensor:
    """What a student minimises: the labels, the teacher's softened logits, and its features at every tap."""
    truth = Truth.of(target, student.logits.shape[1], ignore)
    loss = supervised(student.logits, truth)
    if teacher is None:
        return loss
    loss = loss + logit_distance(student.logits, teacher.logits, recipe.temperature, truth, recipe.distill_balance)
    features = [feature_distance(found, teacher.taps[name]) for name, found in student.taps.items()]
    return loss + torch.stack(features).mean() if features else loss
