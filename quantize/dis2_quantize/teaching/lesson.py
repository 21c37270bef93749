"""What a student is told: the labels, what the full-sensor FP32 network says, and the features it had in FP32."""

from __future__ import annotations

import torch
from torch import Tensor

from dis2_edge.recipe import Recipe
from dis2_quantize.teaching.student import Student
from dis2_train.data.batches import Batch
from dis2_train.networks.losses import Truth, feature_distance, logit_distance, supervised
from dis2_train.networks.seam import Network, Output


def taught(teacher: Network, batch: Batch, student: Student, recipe: Recipe) -> Output | None:
    """What the FP32 network tells `student` of a batch; None where labels alone teach.

    Its logits are those with every sensor. Its taps are those of the student's own scenario: a lone scenario has
    features of its own, which the full-sensor ones have nothing to do with, and a student drawn to them falls apart.
    """
    if recipe.quantize_lesson == "labels":
        return None
    full = teacher.task.full
    with torch.no_grad():
        own: Output = teacher(batch.frames, student.scenario, student.taps)
        seen: Output = own if student.scenario == full else teacher(batch.frames, full)
    return Output(seen.logits, own.taps)


def lesson(student: Output, teacher: Output | None, target: Tensor, recipe: Recipe, ignore: int) -> Tensor:
    """What a student minimises: the labels, the teacher's softened logits, and its features at every tap."""
    truth = Truth.of(target, student.logits.shape[1], ignore)
    loss = supervised(student.logits, truth)
    if teacher is None:
        return loss
    loss = loss + logit_distance(student.logits, teacher.logits, recipe.temperature, truth, recipe.distill_balance)
    features = [feature_distance(found, teacher.taps[name]) for name, found in student.taps.items()]
    return loss + torch.stack(features).mean() if features else loss
