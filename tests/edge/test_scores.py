"""dis2_edge.scores: counts first, scores from counts, against a slow reference written out by hand."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dis2_edge.errors import InternalError
from dis2_edge.scores import confusion, scores

CLASSES = 3
Image = npt.NDArray[np.uint8]
PIXELS = st.sampled_from([0, 1, 2, 3, 255])
PAIRS = arrays.array_shapes(min_dims=2, max_dims=2, max_side=7).flatmap(
    lambda shape: st.tuples(*(arrays.arrays(np.uint8, shape, elements=PIXELS) for _ in range(2)))
)


def test_arrays_of_different_shapes_are_our_fault() -> None:
    with pytest.raises(InternalError, match="compared pixel by pixel"):
        confusion(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), 2)


@given(PAIRS)
def test_scores_are_what_counting_pixels_by_hand_gives(pair: tuple[Image, Image]) -> None:
    truth, mask = pair
    known = truth < CLASSES
    found = scores(confusion(truth, mask, CLASSES))
    for label in range(CLASSES):
        both = int(np.sum(known & (truth == label) & (mask == label)))
        either = int(np.sum(known & ((truth == label) | (mask == label))))
        total = int(np.sum(known & (truth == label)) + np.sum(known & (mask == label)))
        assert found.iou[label] == pytest.approx(both / either if either else math.nan, nan_ok=True)
        assert found.f1[label] == pytest.approx(2 * both / total if total else math.nan, nan_ok=True)
    right = float(np.mean(truth[known] == mask[known])) if known.any() else math.nan
    assert found.oa == pytest.approx(right, nan_ok=True)


@given(PAIRS)
def test_counts_of_a_whole_are_the_sum_of_its_parts(pair: tuple[Image, Image]) -> None:
    truth, mask = pair
    whole = confusion(truth, mask, CLASSES)
    parts = confusion(truth[:1], mask[:1], CLASSES) + confusion(truth[1:], mask[1:], CLASSES)
    assert np.array_equal(whole, parts)
    assert whole.shape == (CLASSES, CLASSES + 1)
    assert whole.sum() == np.sum(truth < CLASSES)


def test_a_perfect_mask_scores_one_and_an_ignored_pixel_counts_nowhere() -> None:
    truth = np.array([[0, 1], [2, 255]], np.uint8)
    mask = np.array([[0, 1], [2, 1]], np.uint8)
    found = scores(confusion(truth, mask, CLASSES))
    assert (found.miou, found.mean_f1, found.oa) == (1.0, 1.0, 1.0)


def test_a_class_that_nobody_saw_or_named_does_not_weigh_on_the_mean() -> None:
    found = scores(confusion(np.array([[0, 1]], np.uint8), np.array([[0, 0]], np.uint8), CLASSES))
    assert math.isnan(found.iou[2])
    assert found.miou == pytest.approx((0.5 + 0.0) / 2)


def test_no_known_pixel_gives_nan_and_no_warning() -> None:
    found = scores(confusion(np.full((2, 2), 255, np.uint8), np.zeros((2, 2), np.uint8), CLASSES))
    assert math.isnan(found.miou)
    assert math.isnan(found.oa)
