"""Bringing frames to the grid, filling holes, normalising."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dis2_edge.errors import DataError, InternalError
from dis2_edge.prepare import align, align_label, bring, fill_holes, mark_holes, normalise
from dis2_edge.sensors import Sensor

RGB = Sensor("rgb", "optical", 3, "uint8", "DN", 0, 255)
DSM = Sensor("ndsm", "height", 1, "float32", "metres", -10, 100)
HEAT = Sensor("ir", "thermal", 1, "uint16", "centikelvin", 20000, 45000)


def test_a_frame_too_small_to_crop() -> None:
    sensor = dataclasses.replace(RGB, fit="crop")
    with pytest.raises(DataError, match=r"'rgb': a frame of 4x9 pixels; expected at least the grid's 8x8"):
        align(np.zeros((4, 9, 3), np.uint8), sensor, (8, 8))


def test_a_frame_that_was_not_cut_into_tiles() -> None:
    with pytest.raises(DataError, match="windows of the grid"):
        align(np.zeros((16, 16, 3), np.uint8), dataclasses.replace(RGB, fit="tile"), (8, 8))


def test_a_homography_without_an_inverse() -> None:
    with pytest.raises(DataError, match="cannot be inverted"):
        align(np.zeros((4, 4, 3), np.uint8), dataclasses.replace(RGB, to_grid=(1, 0, 0, 2, 0, 0, 0, 0, 1)), (4, 4))


def test_normalise_without_statistics() -> None:
    with pytest.raises(InternalError, match="no statistics"):
        normalise(np.zeros((2, 2, 3), np.uint8), RGB)


@pytest.mark.parametrize("fit", ["resize", "crop", "tile"])
def test_nothing_to_do_returns_the_frame_itself(fit: str) -> None:
    frame = np.zeros((8, 6, 3), np.uint8)
    assert align(frame, dataclasses.replace(RGB, fit=fit), (8, 6)) is frame


def test_resize_is_bilinear_with_half_pixel_centres() -> None:
    row = np.array([[[0.0], [4.0]]], np.float32)
    np.testing.assert_allclose(align(row, DSM, (1, 4))[0, :, 0], [0, 1, 3, 4])
    np.testing.assert_allclose(align(row.transpose(1, 0, 2), DSM, (4, 1))[:, 0, 0], [0, 1, 3, 4])
    square = np.arange(16, dtype=np.float32).reshape(4, 4, 1)
    np.testing.assert_allclose(align(square, DSM, (2, 2))[..., 0], [[2.5, 4.5], [10.5, 12.5]])


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 12), st.integers(1, 12), st.integers(0, 255))
def test_resize_keeps_constants_and_types(h: int, w: int, grid_h: int, grid_w: int, value: int) -> None:
    out = align(np.full((h, w, 3), value, np.uint8), RGB, (grid_h, grid_w))
    assert out.shape == (grid_h, grid_w, 3)
    assert out.dtype == np.uint8
    assert (out == value).all()


def test_resize_of_uint16_rounds_and_stays_in_range() -> None:
    frame = np.array([[[0], [65535]]], np.uint16)
    np.testing.assert_array_equal(align(frame, HEAT, (1, 4))[0, :, 0], [0, 16384, 49151, 65535])


def test_crop_takes_the_centre_of_frame_and_label() -> None:
    frame = np.arange(6 * 8, dtype=np.uint8).reshape(6, 8)
    sensor = dataclasses.replace(RGB, channels=1, fit="crop")
    np.testing.assert_array_equal(align(frame[..., None], sensor, (4, 4))[..., 0], frame[1:5, 2:6])
    np.testing.assert_array_equal(align_label(frame, sensor, (4, 4), 255), frame[1:5, 2:6])


def test_labels_take_the_nearest_pixel() -> None:
    label = np.array([[0, 1], [2, 255]], np.uint8)
    out = align_label(label, None, (4, 6), 255)
    np.testing.assert_array_equal(out, np.kron(label, np.ones((2, 3), np.uint8)))
    assert align_label(label, RGB, (2, 2), 255) is label


def test_a_shift_by_homography_leaves_holes_outside() -> None:
    shift = dataclasses.replace(DSM, to_grid=(1, 0, 2, 0, 1, 1, 0, 0, 1))  # 2 right, 1 down
    frame = np.arange(20, dtype=np.float32).reshape(4, 5, 1)
    out = align(frame, shift, (4, 5))[..., 0]
    np.testing.assert_array_equal(out[1:, 2:], frame[:3, :3, 0])
    assert np.isnan(out[0]).all()
    assert np.isnan(out[:, :2]).all()
    filled, holes = fill_holes(out[..., None], shift)
    assert holes == 5 + 3 * 2
    assert np.isfinite(filled).all()
    label = align_label(np.ones((4, 5), np.uint8), shift, (4, 5), 255)
    assert (label == 255).sum() == holes


@pytest.mark.parametrize("sensor", [DSM, HEAT], ids=["nodata metres", "dead uint16"])
def test_nodata_never_blends_into_valid_values(sensor: Sensor) -> None:
    frame = np.full((100, 100, 1), 25000 if sensor is HEAT else 10, sensor.numpy_dtype)
    frame[40:50, 40:50] = 0 if sensor is HEAT else -9999
    known = dataclasses.replace(sensor, mean=(float(frame[0, 0, 0]),), std=(1.0,))
    for size in ((97, 97), (51, 130)):
        brought, holes = bring(frame, known, size)
        assert holes == 100
        assert (brought == frame[0, 0, 0]).all()
    marked = align(mark_holes(frame, sensor), sensor, (97, 97))
    if sensor is DSM:
        assert np.nanmin(marked) == 10


def test_what_is_outside_is_filled_and_counted_beside_the_holes() -> None:
    shift = dataclasses.replace(DSM, to_grid=(1, 0, 2, 0, 1, 1, 0, 0, 1), mean=(3.0,), std=(1.0,))
    frame = np.full((4, 5, 1), 7, np.float32)
    frame[0, 0] = np.nan
    brought, holes = bring(frame, shift, (4, 5))
    assert holes == 1 + 5 + 3 * 2
    assert set(np.unique(brought)) == {3.0, 7.0}


def test_a_whole_frame_that_fits_comes_back_itself() -> None:
    frame = np.full((4, 5, 1), 7, np.float32)
    assert bring(frame, DSM, (4, 5))[0] is frame


def test_outside_an_integer_frame_is_the_sensor_mean() -> None:
    shift = (1, 0, 1, 0, 1, 0, 0, 0, 1)
    frame = np.full((3, 3, 3), 9, np.uint8)
    known = dataclasses.replace(RGB, to_grid=shift, mean=(50.0, 60.4, 70.6), std=(1.0, 1.0, 1.0))
    np.testing.assert_array_equal(align(frame, known, (3, 3))[0, 0], [50, 60, 71])
    assert (align(frame, dataclasses.replace(RGB, to_grid=shift), (3, 3)) == 9).all()


def test_a_homography_goes_from_native_to_grid_pixels() -> None:
    """A grid twice as fine: native (x, y) lies at (2x, 2y); between two pixels is their mean."""
    double = dataclasses.replace(DSM, to_grid=(2, 0, 0, 0, 2, 0, 0, 0, 1))
    frame = np.arange(9, dtype=np.float32).reshape(3, 3, 1)
    out = align(frame, double, (5, 5))[..., 0]
    np.testing.assert_allclose(out[::2, ::2], frame[..., 0])
    np.testing.assert_allclose(out[0, 1], 0.5)


def test_perspective_agrees_with_the_mapping_of_single_points() -> None:
    matrix = np.array([[1.1, 0.1, 1.0], [-0.05, 0.9, 2.0], [0.004, 0.002, 1.0]])
    y, x = np.indices((40, 40), dtype=np.float32)
    frame = (3 * x + 5 * y)[..., None]
    out = align(frame, dataclasses.replace(DSM, to_grid=tuple(matrix.ravel().tolist())), (32, 32))[..., 0]
    for row, column in ((10, 12), (20, 25), (15, 5)):
        source = np.linalg.solve(matrix, [column, row, 1.0])
        source /= source[2]
        assert out[row, column] == pytest.approx(3 * source[0] + 5 * source[1], abs=1e-2)


def test_holes_are_nan_infinite_or_out_of_range() -> None:
    frame = np.array([[[1.0], [3.0], [np.nan], [np.inf], [-np.inf], [-10.5], [101.0]]], np.float32)
    filled, holes = fill_holes(frame, DSM)
    assert holes == 5
    np.testing.assert_array_equal(filled[0, :, 0], [1, 3, 2, 2, 2, 2, 2])
    assert np.isnan(frame[0, 2, 0])
    known = dataclasses.replace(DSM, mean=(7.0,), std=(1.0,))
    assert fill_holes(frame, known)[0][0, 2, 0] == 7


def test_dead_pixels_of_an_integer_sensor_are_holes() -> None:
    frame = np.array([[[0], [30000], [30001]]], np.uint16)
    filled, holes = fill_holes(frame, HEAT)
    assert holes == 1
    assert filled[0, 0, 0] == 30000
    assert filled.dtype == np.uint16


def test_a_pixel_with_one_bad_channel_is_one_hole_and_keeps_the_others() -> None:
    two = dataclasses.replace(DSM, channels=2)
    frame = np.array([[[1.0, np.nan], [3.0, 5.0]]], np.float32)
    filled, holes = fill_holes(frame, two)
    assert holes == 1
    np.testing.assert_array_equal(filled, [[[1, 5], [3, 5]]])


def test_without_holes_the_frame_itself_comes_back() -> None:
    for sensor, dtype in ((RGB, np.uint8), (DSM, np.float32)):
        frame = np.zeros((4, 4, sensor.channels), dtype)
        filled, holes = fill_holes(frame, sensor)
        assert filled is frame
        assert holes == 0


def test_a_frame_of_nothing_but_holes_takes_the_middle_of_the_range() -> None:
    filled, holes = fill_holes(np.full((2, 3, 1), np.nan, np.float32), DSM)
    assert holes == 6
    assert (filled == 45).all()


def test_normalise_gives_channels_first() -> None:
    sensor = dataclasses.replace(RGB, mean=(1.0, 2.0, 3.0), std=(1.0, 2.0, 4.0))
    frame = np.stack([np.full((2, 5), value, np.uint8) for value in (3, 4, 11)], axis=-1)
    out = normalise(frame, sensor)
    assert out.shape == (3, 2, 5)
    assert out.dtype == np.float32
    assert out.flags.c_contiguous
    np.testing.assert_allclose(out[:, 0, 0], [2, 1, 2])
