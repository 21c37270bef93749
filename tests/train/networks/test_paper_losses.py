"""The released losses against their definitions, pixel by pixel, and what ignored pixels may not do."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dis2_train.networks.paper import losses

IGNORE = 255
seeds = st.integers(0, 2**31)


def draw(seed: int, shape: tuple[int, int, int, int]) -> tuple[Tensor, Tensor]:
    """Random probabilities of `shape` and random labels."""
    generator = torch.Generator().manual_seed(seed)
    probabilities = (3 * torch.randn(shape, generator=generator)).softmax(dim=1)
    return probabilities, torch.randint(0, shape[1], (shape[0], *shape[2:]), generator=generator)


@given(seeds, st.integers(1, 3), st.integers(1, 5), st.integers(1, 6), st.integers(1, 6))
def test_weighted_cross_entropy_by_hand(seed: int, batch: int, classes: int, height: int, width: int) -> None:
    probabilities, target = draw(seed, (batch, classes, height, width))
    total = 0.0
    for image in range(batch):
        for y in range(height):
            for x in range(width):
                label = int(target[image, y, x])
                share = float((target[image] == label).float().mean())
                total -= (1 - share) * math.log(min(1.0, max(0.005, float(probabilities[image, label, y, x]))))
    found = losses.weighted_cross_entropy(probabilities, losses.Truth.of(target, classes, IGNORE))
    assert float(found) == pytest.approx(total / (batch * classes * height * width), abs=1e-5)


@given(seeds, st.integers(1, 3), st.integers(1, 5))
def test_dice_by_hand(seed: int, batch: int, classes: int) -> None:
    probabilities, target = draw(seed, (batch, classes, 4, 5))
    scores = []
    for label in range(classes):
        given_label, predicted = (target == label).float(), probabilities[:, label]
        scores.append(float(2 * (given_label * predicted).sum() / (given_label.sum() + predicted.sum())))
    found = losses.dice(probabilities, losses.Truth.of(target, classes, IGNORE))
    assert float(found) == pytest.approx(1 - sum(scores) / classes, abs=1e-5)


@given(seeds, st.floats(0.1, 0.9))
def test_ignored_pixels_are_as_if_they_were_not_there(seed: int, share: float) -> None:
    probabilities, target = draw(seed, (1, 3, 6, 8))
    rows = max(1, int(share * 6))
    cut = losses.supervised(probabilities[:, :, rows:], losses.Truth.of(target[:, rows:], 3, IGNORE))
    target[:, :rows] = IGNORE
    found = losses.supervised(probabilities, losses.Truth.of(target, 3, IGNORE))
    assert float(found) == pytest.approx(float(cut), abs=1e-6)


def test_a_batch_of_ignored_pixels_teaches_nothing() -> None:
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    truth = losses.Truth.of(torch.full((2, 4, 4), IGNORE), 3, IGNORE)
    losses.supervised(logits.softmax(dim=1), truth).backward()
    assert logits.grad is not None
    assert torch.count_nonzero(logits.grad) == 0


def test_overlap_is_zero_for_right_angles_and_one_a_level_for_equals() -> None:
    upright, level = torch.tensor([[0.0, 2.0]]), torch.tensor([[-3.0, 0.0]])
    assert float(losses.overlap([upright, upright], [level, level])) == pytest.approx(0)
    assert float(losses.overlap([upright, -level], [upright, level])) == pytest.approx(2)


def test_teachers_get_no_gradient_and_students_do() -> None:
    student, teacher = (torch.randn(2, 4, 3, 3, requires_grad=True) for _ in range(2))
    (losses.feature_distance(student, teacher) + losses.logit_divergence(student, teacher, 2.0)).backward()
    assert teacher.grad is None
    assert student.grad is not None
    assert float(student.grad.abs().max()) > 0


def test_distillation_ignores_length_and_is_least_at_the_teacher() -> None:
    teacher = torch.randn(2, 4, 3, 3)
    assert float(losses.feature_distance(3 * teacher, teacher)) == pytest.approx(0, abs=1e-6)
    assert float(losses.logit_divergence(teacher, teacher, 2.0)) == pytest.approx(0, abs=1e-6)
    assert float(losses.logit_divergence(-teacher, teacher, 2.0)) > 0
    assert float(losses.feature_distance(-teacher, teacher)) == pytest.approx(4 / 4, rel=1e-4)


def test_logit_divergence_is_averaged_over_classes_too() -> None:
    student, teacher = torch.randn(2, 5, 3, 3), torch.randn(2, 5, 3, 3)
    soft, log_ours = (teacher / 2).softmax(1), (student / 2).log_softmax(1)
    per_pixel = (soft * (soft.log() - log_ours)).sum(dim=1)
    assert float(losses.logit_divergence(student, teacher, 2.0)) == pytest.approx(4 * float(per_pixel.mean()) / 5)
