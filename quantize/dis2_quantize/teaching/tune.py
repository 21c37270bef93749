"""Distillation-aware tuning: while fake quantisation is on, the FP32 full-sensor model teaches every student."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from dis2_edge.recipe import Recipe
from dis2_edge.scores import scores
from dis2_edge.terminal import progress
from dis2_quantize.teaching.student import Student, logits_of
from dis2_train.data.batches import Sampler, Split
from dis2_train.evaluate import evaluate
from dis2_train.networks.losses import Truth, feature_distance, logit_distance, supervised
from dis2_train.networks.seam import Network, Output


def tune(students: Sequence[Student], teacher: Network, train: Split, validation: Split | None, recipe: Recipe) -> None:
    """Tune the students in place; each keeps what did best on `validation`, its untuned state included.

    Every step draws one student, uniformly; the teacher sees all sensors of the same batch.
    """
    sampler = Sampler(train, recipe)
    optimizers = {student.scenario: _optimizer(student, recipe) for student in students}
    keepers = [Keeper(student, validation) for student in students]
    steps = recipe.quantize_epochs * sampler.steps * len(students)
    for step in progress(range(steps), "tune"):
        student = students[int(np.random.default_rng((recipe.seed, 7, step)).integers(len(students)))]
        optimizer = optimizers[student.scenario]
        for group in optimizer.param_groups:
            group["lr"] = recipe.quantize_learning_rate * 0.5 * (1 + math.cos(math.pi * step / steps))
        batch = sampler.batch(*divmod(step, sampler.steps))
        optimizer.zero_grad(set_to_none=True)
        student.network.train()
        with torch.no_grad():
            taught = teacher(batch.frames, teacher.task.full, student.taps)
        loss = lesson(student(batch.frames), taught, batch.target, recipe, teacher.task.ignore)
        loss.backward()
        optimizer.step()
        if (step + 1) % (sampler.steps * len(students)) == 0:
            for keeper in keepers:
                keeper.look()
    for keeper in keepers:
        keeper.restore()


def in_need(
    students: Sequence[Student], network: Network, validation: Split | None, recipe: Recipe
) -> dict[str, float | None]:
    """The scenarios whose student lost more than `tune_above` by calibration, with the points of mIoU it lost.

    Without a validation split nobody knows what was lost: every scenario is in need, with None.
    """
    if validation is None:
        return {student.scenario: None for student in students}
    scenarios = [student.scenario for student in students]
    whole = evaluate(network, validation, scenarios, label="score FP32")
    small = evaluate(logits_of(students), validation, scenarios, label="score INT8")
    lost = {name: 100 * (scores(whole[name]).miou - scores(small[name]).miou) for name in scenarios}
    return {name: points for name, points in lost.items() if points > recipe.tune_above}


def lesson(student: Output, teacher: Output, target: Tensor, recipe: Recipe, ignore: int) -> Tensor:
    """What a student minimises: the labels, the teacher's softened logits, and its features at every tap."""
    truth = Truth.of(target, student.logits.shape[1], ignore)
    loss = supervised(student.logits, truth)
    loss = loss + logit_distance(student.logits, teacher.logits, recipe.temperature, truth)
    features = [feature_distance(found, teacher.taps[name]) for name, found in student.taps.items()]
    return loss + torch.stack(features).mean() if features else loss


class Keeper:
    """Remembers the weights with which a student did best."""

    def __init__(self, student: Student, validation: Split | None) -> None:
        self._student, self._validation = student, validation
        self._best, self._weights = -math.inf, copy.deepcopy(student.network.state_dict())
        self.look()

    def look(self) -> None:
        """Score the student as it is; without a validation split the last state is the best one."""
        found = math.inf
        if self._validation is not None:
            self._student.network.eval()
            scenario = self._student.scenario
            found = scores(evaluate(logits_of([self._student]), self._validation, [scenario])[scenario]).miou
        if found >= self._best:
            self._best, self._weights = found, copy.deepcopy(self._student.network.state_dict())

    def restore(self) -> None:
        """Give the student its best weights back."""
        self._student.network.load_state_dict(self._weights)
        self._student.network.eval()


def _optimizer(student: Student, recipe: Recipe) -> torch.optim.Optimizer:
    return torch.optim.AdamW(student.network.parameters(), lr=recipe.quantize_learning_rate, weight_decay=0.0)
