"""A glance at a frame: entropy that light does not change, and that training and flight measure alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dis2_edge.glance import ENTROPY_MOST, frame_entropy, pairs
from dis2_edge.sensors import Sensor
from dis2_edge.statistics import SensorStatistics, Tally

RANDOM = np.random.default_rng(0)
HEIGHT = Sensor("height", "height", 1, "float32", "metres", -10, 100)


@pytest.mark.parametrize("size", [(512, 512), (1, 1), (1, 7), (7, 1), (48, 96), (2, 3), (1080, 1920)], ids=str)
def test_neighbours_are_neighbours_at_any_size(size) -> None:
    pixels = np.arange(size[0] * size[1], dtype=np.float32).reshape(*size, 1)
    left, right = pairs(pixels)
    assert left.shape == right.shape
    assert left.size <= 97 * 97
    assert np.all(right - left == (1 if size[1] > 1 else 0))


@given(st.floats(0.01, 100), st.floats(-1000, 1000))
def test_entropy_stays_when_light_changes(gain, offset) -> None:
    picture = np.random.default_rng(1).normal(50, 10, (64, 64, 1))
    before = frame_entropy(picture, -1e9, 1e9)
    assert frame_entropy(picture * gain + offset, -1e9, 1e9) == pytest.approx(before, abs=0.02)


def test_entropy_of_the_plain_the_even_and_nothing() -> None:
    assert frame_entropy(np.full((9, 9, 1), 7.0), 0, 10) == 0
    assert frame_entropy(RANDOM.uniform(0, 1, (99, 99, 1)), 0, 1) == pytest.approx(4.35, abs=0.05)
    assert frame_entropy(RANDOM.uniform(0, 1, (99, 99, 1)), 0, 1) < ENTROPY_MOST
    assert np.isnan(frame_entropy(np.full((9, 9, 1), np.nan), 0, 10))


@pytest.mark.parametrize("share", [0.0004, 0.001])
def test_few_hot_pixels_hardly_change_entropy(share) -> None:
    picture = np.random.default_rng(2).normal(29_000, 150, (96, 96, 1))
    hot = np.where(np.random.default_rng(3).random(picture.shape) < share, 45_000, picture)
    before = frame_entropy(picture, 0, 65_535)
    assert frame_entropy(hot, 0, 65_535) == pytest.approx(before, abs=0.3)


def test_holes_do_not_count_in_entropy() -> None:
    picture = RANDOM.normal(20, 5, (96, 96, 1)).astype(np.float32)
    holed = picture.copy()
    holed[:40] = np.nan
    whole = frame_entropy(picture, -10, 100)
    assert frame_entropy(holed, -10, 100) == pytest.approx(whole, abs=0.15)


def test_statistics_hold_the_entropies_of_native_frames() -> None:
    tally = Tally(HEIGHT)
    frames = [RANDOM.normal(20, 5, (96, 96, 1)).astype(np.float32) for _ in range(3)]
    for frame in frames:
        tally.add(frame[::2, ::2], frame)
    row = tally.result("train")
    for frame in frames:
        assert row.frame_entropy_low <= frame_entropy(frame, -10, 100) <= row.frame_entropy_high
    assert row.frame_entropy_high - row.frame_entropy_low < 0.5


def test_statistics_of_old_bundles_bind_no_entropy() -> None:
    old = SensorStatistics("height", (1.0,), (2.0,), 0, 255, 0, 255, 0, 99, 0.1)
    assert (old.frame_entropy_low, old.frame_entropy_high) == (0.0, ENTROPY_MOST)
