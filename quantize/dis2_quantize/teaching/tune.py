"""Distillation-aware tuning: while fake quantisation is on, the FP32 full-sensor model teaches every student."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from dis2_edge.errors import DataError
from dis2_edge.recipe import Recipe
from dis2_edge.scores import scores
from dis2_edge.terminal import progress
from dis2_quantize.rounding.fake import ActivationQuant, QuantConvUnit
from dis2_quantize.teaching.keeper import Keeper
from dis2_quantize.teaching.lesson import lesson, taught
from dis2_quantize.teaching.student import Student, logits_of
from dis2_train.data.batches import Sampler, Split
from dis2_train.evaluate import evaluate
from dis2_train.networks.seam import Network

RANGE_RATE = 100.0
"""Learned ranges move by this factor times the rate of the weights: theirs is relative, and weights are about 0.01."""
WARM_UP = 0.1
"""Share of tuning over which the rates rise: the first steps of Adam are as large as any, and say little."""
MOMENTUM = 0.01
"""Share of a batch in a living norm's statistics: they are known well, and a small batch is not to forget them."""


def tune(students: Sequence[Student], teacher: Network, train: Split, validation: Split | None, recipe: Recipe) -> None:
    """Tune the students in place; each keeps what did best on `validation`, its untuned state included.

    Every step draws one student, uniformly, as no scenario is known to fly more than another; the teacher sees all
    sensors of the same batch. Raises DataError where an activation or the loss stops being finite.
    """
    sampler = Sampler(train, recipe)
    teacher.eval()
    for student in students:
        begin(student, recipe)
    optimizers = {student.scenario: _optimizer(student, recipe) for student in students}
    keepers = [Keeper(student, validation) for student in students]
    steps = recipe.quantize_epochs * sampler.steps * len(students)
    for step in progress(range(steps), "tune"):
        student = students[int(np.random.default_rng((recipe.seed, 7, step)).integers(len(students)))]
        student.network.train()
        if step >= recipe.quantize_freeze_norms * steps:
            freeze_norms(student.network)
        batch = sampler.batch(*divmod(step, sampler.steps))
        answer = taught(teacher, batch, student, recipe)
        loss = lesson(student(batch.frames), answer, batch.target, recipe, teacher.task.ignore)
        _step(optimizers[student.scenario], _finite(loss, student), (step + 0.5) / steps)
        if (step + 1) % (sampler.steps * len(students)) == 0:
            for keeper in keepers:
                keeper.look()
    for student, keeper in zip(students, keepers, strict=True):
        keeper.restore()
        settle(student)


def begin(student: Student, recipe: Recipe) -> None:
    """Make a student ready to be tuned: what the recipe lets live or learn does so from now on, until `settle`."""
    for module in student.network.modules():
        if isinstance(module, QuantConvUnit) and recipe.quantize_freeze_norms:
            module.revive()
        if isinstance(module, (QuantConvUnit, ActivationQuant)) and recipe.learned_scales:
            module.learn()
    for norm in _norms(student.network):
        norm.momentum = MOMENTUM


def freeze_norms(network: nn.Module) -> None:
    """Let every batch norm normalise by its running statistics, which move no more; until the next `train()`."""
    for norm in _norms(network):
        norm.eval()


def settle(student: Student) -> None:
    """End of tuning: every convolution has one folded weight and bias; nothing is rounded anew."""
    for module in list(student.network.modules()):
        if isinstance(module, (QuantConvUnit, ActivationQuant)):
            module.settle()


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


def _norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


def _optimizer(student: Student, recipe: Recipe) -> torch.optim.Optimizer:
    named = list(student.network.named_parameters())
    groups = [
        {"params": [value for name, value in named if ".change." not in name], "peak": recipe.quantize_learning_rate},
        {
            "params": [value for name, value in named if ".change." in name],
            "peak": RANGE_RATE * recipe.quantize_learning_rate,
        },
    ]
    return torch.optim.AdamW(groups, lr=recipe.quantize_learning_rate, weight_decay=0.0)


def _step(optimizer: torch.optim.Optimizer, loss: Tensor, passed: float) -> None:
    """One step of the optimiser, its rates rising, then on a cosine; `passed` is the share of tuning up to it, 0..1."""
    share = min(1.0, passed / WARM_UP) * 0.5 * (1 + math.cos(math.pi * passed))
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * share
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def _finite(loss: Tensor, student: Student) -> Tensor:
    if not bool(torch.isfinite(loss.detach())):
        raise DataError(
            f"the loss of {student.scenario} is not finite in tuning",
            expected="finite logits",
            mend="--set quantize_learning_rate= to a smaller one",
        )
    return loss
