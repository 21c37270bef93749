"""Drops: paired, over the classes that occur, what scores say when computed one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dis2_edge.scores import scores
from dis2_quantize.judging.drops import drops, ious


def random_counts(seed, images=6, classes=3):
    return np.random.default_rng(seed).integers(1, 50, (images, classes, classes + 1))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 4))
def test_a_drop_is_the_difference_of_scores_within_its_interval(seed, images, classes):
    full, small = random_counts(seed, images, classes), random_counts(seed + 1, images, classes)
    found = drops(full, small, resamples=200)
    before, after = scores(full.sum(0)), scores(small.sum(0))
    assert found.miou.points == pytest.approx(100 * (before.miou - after.miou))
    each = [drop.points for drop in found.classes]
    assert each == pytest.approx([100 * (b - a) for b, a in zip(before.iou, after.iou, strict=True)])
    assert found.miou.low <= found.miou.high
    assert ious(small)[0] == pytest.approx(after.miou)


def test_the_same_images_are_drawn_for_both_so_what_is_hard_for_both_cancels():
    full = random_counts(4, images=40)
    full[:20] *= 50  # a set of very different images: either score alone scatters widely
    same = drops(full, full.copy())
    assert (same.miou.points, same.miou.low, same.miou.high) == (0, 0, 0)
    apart = drops(full, full[::-1].copy())
    assert apart.miou.points == pytest.approx(0)
    assert apart.miou.high - apart.miou.low > 0.5


def test_a_class_that_no_label_has_is_not_judged_and_moves_no_mean():
    full = random_counts(1, classes=3)
    full[:, 2], full[:, :, 2] = 0, 0
    small = full.copy()
    small[0, 0, 2] += 1  # one pixel is called what does not occur
    found = drops(full, small)
    assert found.classes[2] is None
    assert abs(found.miou.points) < 1, "scores would have lost a third of the mean"
    assert scores(full.sum(0)).miou - scores(small.sum(0)).miou > 0.09
    assert ious(small)[1][2] is None


def test_a_split_of_ignored_pixels_has_no_drop():
    nothing = np.zeros((3, 2, 3), np.int64)
    assert drops(nothing, nothing).miou is None
    assert ious(nothing) == (None, (None, None))


def test_more_images_of_the_kind_narrow_the_interval():
    few_full, few_small = random_counts(2, images=8), random_counts(3, images=8)
    many_full, many_small = (np.tile(counts, (16, 1, 1)) for counts in (few_full, few_small))
    few, many = drops(few_full, few_small).miou, drops(many_full, many_small).miou
    assert many.points == pytest.approx(few.points)
    assert (many.high - many.low) < 0.5 * (few.high - few.low)
