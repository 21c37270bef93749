"""Places on the grid: what is refused, and that lens, homography and fit make one look-up."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from dis2_edge.errors import DataError
from dis2_edge.geometry import check_remap, places
from dis2_edge.lens import Lens
from dis2_edge.prepare import align, align_label, bring
from dis2_edge.sensors import Sensor

RGB = Sensor("rgb", "optical", 3, "uint8", "DN", 0, 255, mean=(9.0,) * 3, std=(1.0,) * 3)
DSM = Sensor("ndsm", "height", 1, "float32", "metres", -10, 100, mean=(3.0,), std=(1.0,))
LENS = Lens(40, 42, 31, 23, k1=-0.1, k2=0.02, p1=0.002, p2=-0.001)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"to_grid": (1, 0, 5000, 0, 1, 0, 0, 0, 1)}, "'rgb': to_grid brings no pixel of a 48x64 frame to the 32x32"),
        ({"to_grid": (1, 0, 0, 0, 1, 0, 0, 0, -1)}, "to_grid brings no pixel"),
        ({"to_grid": (0,) * 9}, "cannot be inverted; expected a homography"),
        ({"to_grid": (1e9, 2e9, 0, 1e9, 2e9, 0, 0, 0, 1)}, "cannot be inverted"),
        ({"lens": Lens(40, 40, 9000, 0, k1=-0.3)}, "lens brings no pixel of a 48x64 .* made for frames of this size"),
    ],
)
def test_a_geometry_that_brings_nothing(keys, message) -> None:
    sensor = dataclasses.replace(RGB, **keys)
    with pytest.raises(DataError, match=message):
        align(np.zeros((48, 64, 3), np.uint8), sensor, (32, 32))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (np.zeros((4, 5, 2), np.float32), "4x5x2 float32; expected 32x32x2"),
        (np.zeros((32, 32, 2), np.int32), "int32"),
        (np.full((32, 32, 2), np.nan, np.float32), "2048 values of the remap table are NaN"),
    ],
)
def test_a_remap_table_that_does_not_fit(table, message) -> None:
    with pytest.raises(DataError, match=message):
        check_remap(RGB, table, (32, 32))


def test_a_remap_table_that_misses_the_frame() -> None:
    with pytest.raises(DataError, match="remap brings no pixel"):
        align(np.zeros((8, 8, 3), np.uint8), RGB, (4, 4), np.full((4, 4, 2), -1e6, np.float32))


def test_a_remap_table_lists_native_x_and_y() -> None:
    frame = np.arange(12, dtype=np.float32).reshape(3, 4, 1)
    table = np.array([[[3, 0], [0, 2]], [[1.5, 1], [-9, 0]]], np.float32)
    out, holes = bring(frame, DSM, (2, 2), table)
    np.testing.assert_array_equal(out[..., 0], [[3, 8], [5.5, 3]])
    assert holes == 1


@pytest.mark.parametrize("fit", ["resize", "crop"])
def test_a_straight_lens_leaves_the_fit_as_it_is(fit: str) -> None:
    frame = np.random.default_rng(0).uniform(0, 50, (48, 64, 1)).astype(np.float32)
    plain = dataclasses.replace(DSM, fit=fit)
    bent = dataclasses.replace(plain, lens=Lens(40, 42, 31, 23))
    np.testing.assert_allclose(align(frame, bent, (32, 40)), align(frame, plain, (32, 40)), atol=1e-3)
    with pytest.raises(DataError, match="cut the frame into tiles"):
        align(frame, dataclasses.replace(bent, fit="tile"), (32, 40))


def test_lens_and_homography_in_one_look_up_are_the_two_in_turn() -> None:
    """On a plane, which bilinear look-ups keep: undistort first, then the homography."""
    shift = (0.9, 0.02, 3.0, -0.01, 0.95, 2.0, 1e-4, 0, 1)
    y, x = np.indices((48, 64), dtype=np.float32)
    found = places(dataclasses.replace(DSM, lens=LENS, to_grid=shift), (48, 64), (48, 64))
    inverse = np.linalg.inv(np.reshape(shift, (3, 3)))
    for row, column in ((10, 20), (30, 40), (24, 31)):
        straight = inverse @ [column, row, 1.0]
        along, across, _ = LENS.distort(straight[:1] / straight[2], straight[1:2] / straight[2])
        assert found.columns[row, column] == pytest.approx(along[0], abs=1e-3)
        assert found.rows[row, column] == pytest.approx(across[0], abs=1e-3)
    frame = (3 * x + 5 * y)[..., None]
    out = align(frame, dataclasses.replace(DSM, lens=LENS, to_grid=shift), (48, 64))[..., 0]
    np.testing.assert_allclose(out[found.inside], (3 * found.columns + 5 * found.rows)[found.inside], atol=1e-2)


def test_labels_take_the_way_of_the_lens() -> None:
    sensor = dataclasses.replace(RGB, channels=1, mean=(9.0,), std=(1.0,), lens=Lens(20, 20, 31, 23, k1=0.5))
    label = align_label(np.ones((48, 64), np.uint8), sensor, (48, 64), 255)
    assert label[23, 31] == 1
    assert label[0, 0] == 255


def test_rounding_at_the_end_of_the_valid_range_makes_no_hole() -> None:
    turn = (0.9, 0.31, 1.7, -0.31, 0.9, 20.3, 0, 0, 1)
    sensor = dataclasses.replace(DSM, valid_max=0.1, to_grid=turn)
    frame = np.full((60, 60, 1), 0.1, np.float32)
    placed, holes = bring(frame, sensor, (64, 64))
    assert holes == (~places(sensor, (60, 60), (64, 64)).inside).sum()
    assert set(np.unique(np.round(placed, 5))) == {np.float32(0.1), np.float32(3.0)}
