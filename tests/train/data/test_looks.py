"""Scale and rotation show every sensor and the label at the same places, and fill what lies beyond the image."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dis2_edge.errors import RecipeError
from dis2_train.data.augment import Share, Views, draw_views
from dis2_train.data.batches import Sampler, Split
from dis2_train.data.looks import Bends, Bent, Straight, draw_bends

CPU = torch.device("cpu")
GRID = (14, 18)
Y, X = np.mgrid[: GRID[0], : GRID[1]].astype(np.float32)
IGNORE = 255
PLACES = torch.from_numpy(np.stack([Y, X], axis=-1)).unsqueeze(0)  # (1, H, W, 2): each pixel tells where it lies
LABEL = torch.from_numpy((Y * GRID[1] + X).astype(np.uint8)).unsqueeze(0)  # each label tells the same
coin = st.booleans()
bend = st.tuples(st.floats(-180, 180), st.floats(0.4, 2.5))


def _views(top: int, left: int, flips: tuple[bool, bool, bool], size: tuple[int, int]) -> Views:
    return Views(*map(torch.tensor, ([top], [left], *([flip] for flip in flips))), size=size)


def _bends(degrees: float, factor: float) -> Bends:
    return Bends(torch.tensor([math.radians(degrees)]), torch.tensor([factor]))


def _bent(views: Views, bends: Bends) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row and column that the sensor shows, and the label, of a bent view."""
    look = Bent(views, bends, torch.tensor([0]), GRID, CPU)
    y, x = look.frames(PLACES)[0].numpy()
    return y, x, look.labels(LABEL, IGNORE)[0].numpy().astype(int)


@given(st.integers(0, 6), st.integers(0, 10), st.tuples(coin, coin, coin), bend)
def test_sensors_and_label_show_the_same_ground_to_half_a_pixel(top, left, flips, bend):
    y, x, label = _bent(_views(top, left, flips, (8, 8)), _bends(*bend))
    known = label != IGNORE
    assert np.abs(y - label // GRID[1])[known].max(initial=0) <= 0.5 + 1e-3
    assert np.abs(x - label % GRID[1])[known].max(initial=0) <= 0.5 + 1e-3


@given(st.integers(0, 6), st.integers(0, 10), st.tuples(coin, coin, coin), bend)
def test_places_are_those_of_plain_trigonometry(top, left, flips, bend):
    """Written pixel by pixel: the straight view's offset from the crop's middle, turned, and divided by the factor."""
    views, (degrees, factor) = _views(top, left, flips, (8, 8)), bend
    y, x, label = _bent(views, _bends(degrees, factor))
    straight = Straight(views, torch.tensor([0]), GRID, CPU).frames(PLACES)[0].numpy()
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    for row, column in ((0, 0), (0, 7), (3, 4), (7, 2), (7, 7)):
        down, across = straight[0, row, column] - (top + 3.5), straight[1, row, column] - (left + 3.5)
        wanted = top + 3.5 + (cos * down + sin * across) / factor, left + 3.5 + (cos * across - sin * down) / factor
        off = [max(-0.5 - place, place - length + 0.5) for place, length in zip(wanted, GRID, strict=True)]
        if abs(max(off)) > 1e-3:  # on the edge itself rounding decides
            assert (label[row, column] == IGNORE) == (max(off) > 0)
        if max(off) < -0.51:  # a place among pixel centres, where nothing was clamped
            assert (y[row, column], x[row, column]) == pytest.approx(wanted, abs=1e-3)


def test_no_bend_shows_what_a_straight_view_shows():
    views = _views(3, 5, (True, False, True), (8, 8))
    image = torch.tensor([0])
    look, straight = Bent(views, _bends(0, 1), image, GRID, CPU), Straight(views, image, GRID, CPU)
    assert torch.allclose(look.frames(PLACES), straight.frames(PLACES), atol=1e-4)
    assert torch.equal(look.labels(LABEL, IGNORE), straight.labels(LABEL, IGNORE))


def test_a_view_twice_as_large_shows_half_the_ground_and_the_same_values():
    metres = torch.full((1, *GRID, 1), 7.25)
    look = Bent(_views(3, 5, (False, False, False), (8, 8)), _bends(0, 2), torch.tensor([0]), GRID, CPU)
    assert (look.frames(metres) == 7.25).all()
    y, _ = look.frames(PLACES)[0].numpy()
    assert y.max() - y.min() == pytest.approx(3.5, abs=1e-3)


def test_filled_corners_are_zero_after_light_and_noise_in_all_sensors_and_ignored_in_the_label(
    tiny_data, tiny_task, tiny_recipe
):
    split = Split(tiny_data, "train", tiny_task, CPU)
    batch = Sampler(split, tiny_recipe(batch=10, rotate=45.0, scale=0.5, crop=16)).batch(0, 0)
    beyond = (batch.frames["opt"] == 0).all(1)
    assert 0.01 < beyond.float().mean() < 0.5
    assert torch.equal(beyond, (batch.frames["sar"] == 0).all(1))
    assert (batch.target[beyond] == tiny_task.ignore).all()
    red = batch.frames["opt"][:, 0]
    assert red[batch.target == 1].mean() > red[batch.target == 0].mean() + 1.2


def test_bends_leave_the_other_draws_of_a_batch_alone(tiny_data, tiny_task, tiny_recipe):
    """A factor of 1 and an angle of 0 from the bent way give the batch of the straight way, up to interpolation."""
    split = Split(tiny_data, "train", tiny_task, CPU)
    straight = Sampler(split, tiny_recipe()).batch(1, 0)
    bent = Sampler(split, tiny_recipe(scale=1e-7)).batch(1, 0)
    assert torch.equal(straight.target, bent.target)
    for name, frames in straight.frames.items():
        assert torch.allclose(frames, bent.frames[name], atol=1e-3)


def test_without_augment_nothing_is_bent(tiny_data, tiny_task, tiny_recipe):
    split = Split(tiny_data, "train", tiny_task, CPU)
    plain, asked = (Sampler(split, tiny_recipe(augment=False, rotate=angle)).batch(0, 0) for angle in (0.0, 30.0))
    assert torch.equal(plain.target, asked.target)


def test_draws_keep_within_what_was_asked_and_use_all_of_it():
    bends = draw_bends(np.random.default_rng(0), 2000, 0.25, 30.0)
    degrees = torch.rad2deg(bends.angle)
    assert degrees.abs().max() <= 30.001
    assert degrees.min() < -29
    assert degrees.max() > 29
    assert bends.factor.min() >= 0.799
    assert bends.factor.max() <= 1.251
    assert bends.factor.log().mean().abs() < 0.01


@pytest.mark.parametrize("key", ["scale", "rotate", "workers"])
def test_values_below_zero_are_refused(tiny_recipe, key):
    with pytest.raises(RecipeError, match=f"{key} is -1"):
        tiny_recipe(**{key: -1})


def test_a_share_of_bent_views_is_that_part_of_them():
    random = np.random.default_rng(0)
    views = draw_views(random, 6, GRID, (8, 8), augment=True)
    bends = draw_bends(random, 6, 0.5, 90)
    whole = Bent(views, bends, torch.zeros(6, dtype=torch.int64), GRID, CPU).labels(LABEL, IGNORE)
    share = Share.of_rank(6, 1, 4)
    part = Bent(views.of(share), bends.of(share), torch.zeros(2, dtype=torch.int64), GRID, CPU).labels(LABEL, IGNORE)
    assert torch.equal(part, whole[1:3])
