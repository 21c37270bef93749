"""Augmentation moves pixels without changing them, moves sensors and label alike, and keeps light within range."""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dis2_edge.sensors import Sensor
from dis2_train.data.augment import (
    BAD_FRAMES,
    NOISE,
    Views,
    add_impulses,
    add_noise,
    change_light,
    draw_views,
    pixel_places,
)

CPU = torch.device("cpu")
OPTICAL = Sensor("rgb", "optical", 2, "uint8", "DN", 0, 255, mean=(90.0, 110.0), std=(40.0, 20.0))
HEIGHT = Sensor("ndsm", "height", 1, "float32", "metres", -5, 90, mean=(4.0,), std=(6.0,))
coin = st.booleans()


@given(st.integers(0, 4), st.integers(0, 6), coin, coin, coin, st.integers(1, 5), st.integers(1, 5), st.integers(0, 2))
def test_places_are_those_of_plain_slices_flips_and_transposes(top, left, down, across, turn, height, width, image):
    if turn:
        width = height
    stack = np.arange(3 * 9 * 11).reshape(3, 9, 11)
    views = Views(*map(torch.tensor, ([top], [left], [down], [across], [turn])), size=(height, width))
    places = pixel_places(views, torch.tensor([image]), (9, 11), CPU)
    expected = stack[image, top : top + height, left : left + width]
    expected = expected[::-1] if down else expected
    expected = expected[:, ::-1] if across else expected
    expected = expected.T if turn else expected
    assert np.array_equal(places[0].numpy(), expected)


def test_views_of_a_square_crop_take_all_eight_orientations():
    views = draw_views(np.random.default_rng(0), 200, (20, 30), (16, 16), augment=True)
    kinds = set(zip(*(flips.tolist() for flips in (views.upside_down, views.mirrored, views.turned)), strict=True))
    assert len(kinds) == 8
    assert set(views.top.tolist()) == set(range(5))
    assert set(views.left.tolist()) == set(range(15))


def test_views_of_an_oblong_crop_are_never_turned():
    assert not draw_views(np.random.default_rng(0), 200, (20, 30), (20, 30), augment=True).turned.any()


def test_views_without_augmentation_are_plain_crops():
    views = draw_views(np.random.default_rng(0), 200, (20, 30), (16, 16), augment=False)
    assert not torch.stack([views.upside_down, views.mirrored, views.turned]).any()
    assert len(set(views.top.tolist())) > 1


def test_light_changes_each_optical_image_its_own_way_within_the_valid_range():
    pixels = torch.linspace(0, 255, 8 * 8).view(1, 1, 8, 8).repeat(6, 2, 1, 1)
    lit = change_light(np.random.default_rng(3), pixels, OPTICAL)
    assert lit.min() >= 0
    assert lit.max() <= 255
    changes = (lit - pixels).abs().amax((1, 2, 3))
    assert (changes > 1).all()
    assert len(set(changes.tolist())) == 6


@pytest.mark.parametrize("kind", ["height", "radar", "thermal"])
def test_light_leaves_sensors_alone_that_measure_something_absolute(kind):
    pixels = torch.rand(2, 2, 4, 4)
    absolute = dataclasses.replace(OPTICAL, kind=kind, unit="metres")
    assert change_light(np.random.default_rng(0), pixels, absolute) is pixels


def test_light_changes_a_radar_picture_of_digital_numbers():
    pixels = torch.full((2, 2, 4, 4), 100.0)
    radar = dataclasses.replace(OPTICAL, kind="radar", unit="DN")
    assert (change_light(np.random.default_rng(0), pixels, radar) != pixels).all()


def test_noise_is_mild_in_the_units_of_each_channel():
    noise = add_noise(np.random.default_rng(5), torch.zeros(64, 2, 32, 32), OPTICAL)
    spread = noise.std((2, 3)) / torch.tensor(OPTICAL.std)
    assert spread.max() < 1.2 * NOISE
    assert spread.max() > 0.8 * NOISE
    assert torch.allclose(spread[:, 0], spread[:, 1], atol=0.1 * NOISE)


def test_impulses_strike_a_quarter_of_the_frames_and_no_more_of_them_than_was_said():
    pixels = torch.linspace(10, 20, 400 * 2 * 32 * 32)[torch.randperm(400 * 2 * 32 * 32)].view(400, 2, 32, 32)
    spoilt = add_impulses(np.random.default_rng(5), pixels, dataclasses.replace(OPTICAL, std=(0.0, 0.0)), 0.2)
    share = (spoilt != pixels).float().mean((1, 2, 3))
    assert abs((share > 0).float().mean() - BAD_FRAMES) < 0.08
    assert 0.15 < share.max() < 0.22
    assert spoilt.max() <= pixels.max()
    assert spoilt.min() >= pixels.min()


def test_impulses_bring_normal_noise_in_the_units_of_each_channel():
    spoilt = add_impulses(np.random.default_rng(5), torch.zeros(64, 2, 32, 32), OPTICAL, 0.2)
    spread = spoilt.std((2, 3)) / torch.tensor(OPTICAL.std)
    assert 0.3 < spread.max() < 0.6
    assert (spread.amax(1) == 0).float().mean() > 0.5


@pytest.mark.parametrize("change", [change_light, add_noise, functools.partial(add_impulses, most=0.2)])
@pytest.mark.parametrize("sensor", [OPTICAL, HEIGHT])
def test_the_same_seed_gives_the_same_pixels(change: Callable[..., torch.Tensor], sensor):
    pixels = torch.rand(3, sensor.channels, 8, 8) * 50
    once, again = (change(np.random.default_rng(9), pixels, sensor) for _ in range(2))
    assert torch.equal(once, again)
