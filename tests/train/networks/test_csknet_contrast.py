"""Contrastive learning between sensors: the loss against a loop, its sampling, its memory, and its edges."""

import math

import pytest
import torch
import torch.nn.functional as F

from dis2_train.networks.csknet.contrast import (
    ANCHORS,
    REMEMBERED,
    WIDTH,
    MemoryBank,
    ProjectionHead,
    contrast,
    info_nce,
)


def vectors(count, seed=0):
    return F.normalize(torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(seed)), dim=1)


def dot(a, b):
    return sum(float(x) * float(y) for x, y in zip(a, b, strict=True))


def info_nce_by_loop(anchors, twins, mates, others, temperature, share):
    """One anchor and one positive after the other, in plain numbers."""
    terms = []
    for anchor, twin in zip(anchors, twins, strict=True):
        near = sorted((dot(anchor, n) for n in others), reverse=True)[: max(1, round(share * len(others)))]
        far = sorted(dot(anchor, p) for p in mates)[: max(1, round(share * len(mates)))]
        negatives = sum(math.exp(value / temperature) for value in near)
        for value in (dot(anchor, twin), *far):
            positive = math.exp(value / temperature)
            terms.append(-math.log(positive / (positive + negatives)))
    return sum(terms) / len(terms)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 1.0])
@pytest.mark.parametrize("temperature", [0.1, 0.7])
def test_the_loss_is_that_of_a_loop(share, temperature):
    anchors, twins, mates, others = vectors(3, 1), vectors(3, 2), vectors(10, 3), vectors(20, 4)
    found = info_nce(anchors, twins, mates, others, temperature, share).item()
    assert found == pytest.approx(info_nce_by_loop(anchors, twins, mates, others, temperature, share), rel=1e-4)


def test_semi_hard_sampling_hears_the_farthest_positives_and_the_nearest_negatives_alone():
    axes = torch.eye(WIDTH)
    anchors = axes[:1].clone().requires_grad_()
    mates = torch.stack([axes[0], -axes[0], *axes[1:19]]).requires_grad_()  # the second is the farthest
    others = torch.stack([-axes[0], axes[0], *axes[1:19]]).requires_grad_()  # the second is the nearest
    info_nce(anchors, axes[:1], mates, others, 1.0, 0.05).backward()
    assert torch.where(mates.grad.abs().sum(1) > 0)[0].tolist() == [1]
    assert torch.where(others.grad.abs().sum(1) > 0)[0].tolist() == [1]


def test_embeddings_are_unit_vectors_place_after_place():
    head = ProjectionHead(8).eval()
    x = torch.randn(2, 8, 3, 5)
    found = head(x)
    assert found.shape == (30, WIDTH)
    assert torch.allclose(found.norm(dim=1), torch.ones(30), atol=1e-5)
    one = head(x[1:, :, 2:, 4:])  # the last place of the last image
    assert torch.allclose(found[-1], one[0], atol=1e-6)


def test_embeddings_of_a_step_are_spread_around_0_however_alike_the_maps_are():
    torch.manual_seed(0)
    head = ProjectionHead(8).train()
    found = head(100 + 0.01 * torch.randn(2, 8, 6, 6, generator=torch.Generator().manual_seed(0)))
    assert found.mean(dim=0).norm() < 0.2
    assert (found @ found.t()).mean() < 0.1


def test_the_loss_is_of_all_classes_both_ways_and_of_what_was_remembered():
    first, second, labels = vectors(6, 1), vectors(6, 2), torch.tensor([0, 0, 1, 1, -1, -1])
    bank = MemoryBank(3, 8)
    old = {0: vectors(2, 5), 2: vectors(3, 6)}
    for label, held in old.items():
        bank.remember(label, held)
    found = contrast(first, second, labels, bank, 0.2, 1.0).item()
    terms = []
    for own, other in ((0, 1), (1, 0)):
        mine, foreign = torch.where(labels == own)[0], torch.where(labels == other)[0]
        memory = old.get(own, torch.zeros(0, WIDTH))
        others = torch.cat([first[foreign], second[foreign], old.get(other, torch.zeros(0, WIDTH)), old[2]])
        for a, b in ((first, second), (second, first)):
            terms.append(info_nce_by_loop(a[mine], b[mine], torch.cat([b[mine], memory]), others, 0.2, 1.0))
    assert found == pytest.approx(sum(terms) / 4, rel=1e-4)


def test_embeddings_that_tell_classes_apart_and_sensors_not_lose_less():
    labels = torch.tensor([0] * 4 + [1] * 4)
    apart = F.one_hot(labels, WIDTH).float()
    assert contrast(apart, apart, labels, MemoryBank(2, 8), 0.1, 0.1) < 0.01
    assert contrast(apart, apart.flip(0), labels, MemoryBank(2, 8), 0.1, 0.1) > 5


def test_a_place_without_a_label_is_no_anchor_no_negative_and_is_not_remembered():
    first, second = vectors(6, 1).requires_grad_(), vectors(6, 2).requires_grad_()
    bank = MemoryBank(2, 8)
    contrast(first, second, torch.tensor([0, 1, -1, -1, 0, 1]), bank, 0.1, 1.0).backward()
    for side in (first, second):
        assert side.grad.abs().sum(1).gt(0).tolist() == [True, True, False, False, True, True]
    assert bank.seen.tolist() == [4, 4]


@pytest.mark.parametrize("labels", [[-1, -1, -1], [1, 1, 1], [1, -1, -1]])
def test_without_labels_or_without_a_second_class_it_is_0_and_has_a_gradient(labels):
    first, second = vectors(3, 1).requires_grad_(), vectors(3, 2).requires_grad_()
    found = contrast(first, second, torch.tensor(labels), MemoryBank(3, 4), 0.1, 0.1)
    assert found.item() == 0
    found.backward()
    assert first.grad.abs().sum() == 0


def test_a_task_of_one_class_has_no_contrast():
    found = contrast(vectors(3, 1), vectors(3, 2), torch.zeros(3, dtype=torch.int64), MemoryBank(1, 4), 0.1, 0.1)
    assert found.item() == 0


def test_a_lone_class_stands_against_what_is_remembered_of_the_others():
    bank = MemoryBank(2, 4)
    bank.remember(0, vectors(2, 5))
    first = vectors(3, 1).requires_grad_()
    contrast(first, vectors(3, 2), torch.ones(3, dtype=torch.int64), bank, 0.1, 0.1).backward()
    assert first.grad.abs().sum() > 0


def test_no_gradient_goes_into_the_bank_and_it_counts_from_the_next_step_on():
    bank = MemoryBank(2, 64)
    first, second = vectors(4, 1).requires_grad_(), vectors(4, 2).requires_grad_()
    labels = torch.tensor([0, 0, 1, 1])
    fresh = contrast(first, second, labels, MemoryBank(2, 64), 0.1, 1.0)
    assert contrast(first, second, labels, bank, 0.1, 1.0).item() == pytest.approx(fresh.item())
    assert not bank.vectors.requires_grad
    kept = torch.cat([first, second]).detach()
    assert all((kept - row).abs().sum(1).min() < 1e-6 for row in bank.of(0))
    assert len(bank.of(0)) == len(bank.of(1)) == 4


def test_the_bank_is_a_ring_of_the_last_vectors_of_a_class():
    bank, held = MemoryBank(2, 5), vectors(13)
    assert bank.of(1).shape == (0, WIDTH)
    for start in (0, 3, 6):
        bank.remember(1, held[start : start + 3])
    assert len(bank.of(1)) == 5
    assert as_set(bank.of(1)) == as_set(held[4:9])
    assert len(bank.of(0)) == 0


@pytest.mark.parametrize("before", [0, 2, 5])
def test_of_more_vectors_than_the_bank_holds_the_last_ones_stay(before):
    bank, held = MemoryBank(1, 4), vectors(11)
    bank.remember(0, vectors(before, 9))
    bank.remember(0, held)
    assert as_set(bank.of(0)) == as_set(held[7:])
    bank.remember(0, held[:1])
    assert as_set(bank.of(0)) == as_set([held[0], *held[8:]])


def as_set(rows):
    return {tuple(row.tolist()) for row in rows}


def test_a_step_asks_and_remembers_only_some_places_of_a_large_map():
    count = 4 * ANCHORS
    first, second = vectors(count, 1).requires_grad_(), vectors(count, 2)
    bank = MemoryBank(2, 1000)
    contrast(first, second, torch.arange(count) % 2, bank, 0.1, 1.0).backward()
    assert (first.grad.abs().sum(1) > 0).sum() == 2 * ANCHORS
    assert bank.seen.tolist() == [2 * REMEMBERED] * 2
