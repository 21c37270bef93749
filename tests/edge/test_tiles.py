"""Windows cover a scene and own each pixel once; blocks go to one split each."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dis2_edge.errors import DataError
from dis2_edge.tiles import blocks, windows


def test_a_scene_smaller_than_the_grid() -> None:
    with pytest.raises(DataError, match="7x9 pixels; expected at least the grid's 8x8"):
        windows((7, 9), (8, 8))


def test_too_few_blocks_for_the_splits() -> None:
    with pytest.raises(DataError, match=r"1 blocks .* 3 splits; make block_px smaller"):
        blocks((20, 20), 16, {"train": 0.7, "val": 0.15, "test": 0.15})


@given(st.integers(8, 60), st.integers(8, 60), st.integers(1, 8), st.integers(1, 8))
def test_windows_cover_all_and_own_each_pixel_once(height: int, width: int, grid_h: int, grid_w: int) -> None:
    owners = np.zeros((height, width), int)
    for window in windows((height, width), (grid_h, grid_w)):
        part = window.cut(owners)
        assert part.shape == (grid_h, grid_w)
        part[: window.own_height, : window.own_width] += 1
    assert (owners == 1).all()


def test_windows_start_at_the_origin_of_their_block() -> None:
    names = [window.name for window in windows((8, 12), (8, 8), (16, 32))]
    assert names == ["r16c32", "r16c36"]


@given(st.integers(20, 90), st.integers(20, 90), st.integers(5, 10))
def test_blocks_part_the_scene(height: int, width: int, block_px: int) -> None:
    shared = blocks((height, width), block_px, {"train": 0.7, "val": 0.15, "test": 0.15})
    owners = np.zeros((height, width), int)
    for places in shared.values():
        assert places
        for top, left, tall, wide in places:
            assert min(tall, wide) >= block_px
            owners[top : top + tall, left : left + wide] += 1
    assert (owners == 1).all()


def test_blocks_are_the_same_every_time() -> None:
    shares = {"train": 0.5, "test": 0.5}
    assert blocks((64, 64), 16, shares) == blocks((64, 64), 16, shares)
