"""Bring a sensor's frame to the grid, fill its holes, normalise it: the NumPy reference of every faster version."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import DataError, InternalError
from dis2_edge.sensors import IDENTITY, Sensor

Pixels = npt.NDArray[Any]
Size = tuple[int, int]


def align(pixels: Pixels, sensor: Sensor, grid: Size) -> Pixels:
    """`pixels` HxWxC brought to `grid` (height, width), same dtype. What fits already is returned as it is, uncopied.

    A `to_grid` other than identity maps native pixels straight to grid pixels (pixel centres at whole numbers, as
    calibration tools write it), and nothing is left for `fit` to do; what lies outside the frame becomes a hole (NaN
    in float32, the sensor's mean in integers). Else `fit` acts: `resize` is bilinear with half-pixel centres and no
    smoothing, `crop` takes the centre, `tile` wants frames cut beforehand (`dis2_edge.tiles`). DataError when a frame
    is too small to crop, or was not cut.
    """
    if sensor.to_grid != IDENTITY:
        return _warp(pixels, sensor, grid)
    if pixels.shape[:2] == grid:
        return pixels
    if sensor.fit == "resize":
        return _resize(pixels, grid)
    return _crop(pixels, sensor, grid)


def bring(pixels: Pixels, sensor: Sensor, grid: Size) -> tuple[Pixels, int]:
    """`pixels` HxWxC on `grid` without holes, and how many pixels were filled: what training and flight both use.

    Holes are filled before anything is interpolated, or a nodata value would blend into its neighbours and pass for
    valid; what a homography leaves open outside the frame is filled, and counted, afterwards.
    """
    filled, holes = fill_holes(pixels, sensor)
    placed = align(filled, sensor, grid)
    if placed is filled:
        return filled, holes
    placed, outside = fill_holes(placed, sensor)
    return placed, holes + outside


def mark_holes(pixels: Pixels, sensor: Sensor) -> Pixels:
    """`pixels` HxWxC with NaN for every hole of a float32 sensor, so that interpolation keeps a hole a hole."""
    holes = find_holes(pixels, sensor) if pixels.dtype.kind == "f" else None
    return pixels if holes is None else np.where(holes, np.float32(np.nan), pixels)


def align_label(label: npt.NDArray[np.uint8], sensor: Sensor | None, grid: Size, ignore: int) -> npt.NDArray[np.uint8]:
    """`label` HxW brought to `grid` by the way of `sensor`, nearest pixel; None resizes. Outside becomes `ignore`."""
    if sensor is not None and sensor.to_grid != IDENTITY:
        rows, columns, inside = _sources(sensor.to_grid, label.shape, grid)
        nearest = label[np.rint(rows).astype(np.intp), np.rint(columns).astype(np.intp)]
        return np.where(inside, nearest, np.uint8(ignore)).astype(np.uint8)
    if label.shape == grid:
        return label
    if sensor is None or sensor.fit == "resize":
        return label[_nearest(label.shape[0], grid[0])[:, None], _nearest(label.shape[1], grid[1])]
    cropped: npt.NDArray[np.uint8] = _crop(label, sensor, grid)
    return cropped


def fill_holes(pixels: Pixels, sensor: Sensor) -> tuple[Pixels, int]:
    """`pixels` HxWxC with holes filled, and the number of pixels that had one. Without holes: the input itself.

    A hole is NaN, infinite or outside the sensor's valid range. It takes the sensor's mean, or, before statistics
    were taken, the mean of the frame's valid values; a frame of nothing but holes takes the middle of the range.
    """
    holes = find_holes(pixels, sensor)
    if holes is None:
        return pixels, 0
    filled = pixels.copy()
    for channel in range(pixels.shape[2]):
        bad = holes[..., channel]
        value = sensor.mean[channel] if sensor.mean else _valid_mean(pixels[..., channel][~bad], sensor)
        filled[..., channel][bad] = value if pixels.dtype.kind == "f" else round(value)
    return filled, int(np.count_nonzero(holes.any(axis=2)))


def fill_nodata(pixels: Pixels, sensor: Sensor, nodata: float | None) -> tuple[Pixels, int]:
    """`pixels` HxWxC of integers with what its file declares as no data filled, and the number of such pixels.

    Integers have no NaN. A pixel is no data where all its channels are, as a true black may well be 0 in one of them.
    It takes a value out of the sensor's valid range, which marks a hole for all that follows; where the range is as
    wide as the type, each channel takes the mean of the frame's other pixels.
    """
    bad = _declared(pixels, nodata)
    if not bad.any():
        return pixels, 0
    limits = np.iinfo(pixels.dtype)
    filled = pixels.copy()
    if sensor.valid_min > limits.min or sensor.valid_max < limits.max:
        filled[bad] = limits.min if sensor.valid_min > limits.min else limits.max
        return filled, 0
    for channel in range(pixels.shape[2]):
        filled[..., channel][bad] = round(_valid_mean(pixels[..., channel][~bad], sensor))
    return filled, int(np.count_nonzero(bad))


def in_float32(pixels: Pixels, nodata: float | None) -> npt.NDArray[np.float32]:
    """`pixels` HxWxC of integers as float32, with NaN where all channels are what the file declares as no data."""
    values = pixels.astype(np.float32)
    values[_declared(pixels, nodata)] = np.nan
    return values


def find_holes(pixels: Pixels, sensor: Sensor) -> npt.NDArray[np.bool_] | None:
    """HxWxC, true where a value is a hole; None when there is none, at little cost."""
    if pixels.dtype.kind != "f":
        limits = np.iinfo(pixels.dtype)
        if sensor.valid_min <= limits.min and sensor.valid_max >= limits.max:
            return None
    holes = ~((pixels >= sensor.valid_min) & (pixels <= sensor.valid_max))  # NaN compares false
    return holes if holes.any() else None


def normalise(pixels: Pixels, sensor: Sensor) -> npt.NDArray[np.float32]:
    """`pixels` HxWxC as float32 CxHxW, (x - mean) / std of each channel."""
    if not sensor.mean or not sensor.std:
        raise InternalError(f"sensor {sensor.name!r} carries no statistics; call with_statistics first")
    out = np.empty((pixels.shape[2], *pixels.shape[:2]), np.float32)  # (C, H, W)
    for channel, (mean, std) in enumerate(zip(sensor.mean, sensor.std, strict=True)):
        np.subtract(pixels[..., channel], np.float32(mean), out=out[channel])
        out[channel] /= np.float32(std)
    return out


def _declared(pixels: Pixels, nodata: float | None) -> npt.NDArray[np.bool_]:
    """HxW, true where every channel is `nodata`."""
    if nodata is None:
        return np.zeros(pixels.shape[:2], np.bool_)
    found: npt.NDArray[np.bool_] = (pixels == nodata).all(axis=2)
    return found


def _valid_mean(values: Pixels, sensor: Sensor) -> float:
    return float(values.mean(dtype=np.float64)) if values.size else (sensor.valid_min + sensor.valid_max) / 2


def _crop(pixels: Pixels, sensor: Sensor, grid: Size) -> Pixels:
    height, width = pixels.shape[:2]
    where = f"sensor {sensor.name!r}: a frame of {height}x{width} pixels"
    if (height, width) == grid:
        return pixels
    if sensor.fit == "tile":
        raise DataError(where, expected=f"windows of the grid's {grid[0]}x{grid[1]}", mend="cut the frame into tiles")
    if height < grid[0] or width < grid[1]:
        raise DataError(where, expected=f"at least the grid's {grid[0]}x{grid[1]}", mend='set fit = "resize"')
    top, left = (height - grid[0]) // 2, (width - grid[1]) // 2
    return pixels[top : top + grid[0], left : left + grid[1]]


def _resize(pixels: Pixels, grid: Size) -> Pixels:
    """Bilinear, rows first so that the second pass works on fewer pixels."""
    out = pixels
    for axis in (0, 1):
        low, high, weight = _bilinear(pixels.shape[axis], grid[axis])
        weight = weight.reshape(-1, *(1,) * (2 - axis))
        first = np.take(out, low, axis).astype(np.float32, copy=False)
        out = np.take(out, high, axis) - first
        out *= weight
        out += first
    return _as(out, pixels.dtype)


def _warp(pixels: Pixels, sensor: Sensor, grid: Size) -> Pixels:
    """Bilinear look-up of each grid pixel in the native frame."""
    rows, columns, inside = _sources(sensor.to_grid, pixels.shape[:2], grid)
    top, left = np.floor(rows).astype(np.intp), np.floor(columns).astype(np.intp)
    bottom, right = np.minimum(top + 1, pixels.shape[0] - 1), np.minimum(left + 1, pixels.shape[1] - 1)
    down, across = ((rows - top)[..., None], (columns - left)[..., None])
    source = pixels.astype(np.float32, copy=False)
    upper = source[top, left] * (1 - across) + source[top, right] * across
    lower = source[bottom, left] * (1 - across) + source[bottom, right] * across
    out = upper * (1 - down) + lower * down
    if not inside.all():
        out[~inside] = np.nan if pixels.dtype.kind == "f" else _outside(pixels, sensor)
    return _as(out, pixels.dtype)


def _outside(pixels: Pixels, sensor: Sensor) -> Pixels:
    """The value of an integer sensor's pixels that its frame does not cover."""
    return np.asarray(sensor.mean or pixels.mean(axis=(0, 1), dtype=np.float64))


def _as(values: npt.NDArray[np.float32], dtype: np.dtype[Any]) -> Pixels:
    """Round to `dtype`; float32 passes through."""
    return values.astype(dtype, copy=False) if dtype.kind == "f" else np.rint(values).astype(dtype)


@functools.lru_cache(maxsize=32)
def _bilinear(source: int, target: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """Lower and upper source index and the upper one's weight, for each of `target` half-pixel centres."""
    place = np.clip((np.arange(target) + 0.5) * (source / target) - 0.5, 0, source - 1)
    low = np.floor(place).astype(np.intp)
    return low, np.minimum(low + 1, source - 1), (place - low).astype(np.float32)


def _nearest(source: int, target: int) -> npt.NDArray[np.intp]:
    return np.minimum(((np.arange(target) + 0.5) * (source / target)).astype(np.intp), source - 1)


@functools.lru_cache(maxsize=16)
def _sources(
    to_grid: tuple[float, ...], size: Size, grid: Size
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Native row and column of each grid pixel, and whether the frame covers it (kept inside where it does not)."""
    matrix = np.asarray(to_grid, np.float64).reshape(3, 3)
    if abs(np.linalg.det(matrix)) < 1e-12:
        raise DataError(f"to_grid {to_grid} cannot be inverted", expected="a homography with a determinant above 0")
    rows, columns = np.mgrid[: grid[0], : grid[1]].astype(np.float64)
    x, y, scale = np.tensordot(np.linalg.inv(matrix), np.stack([columns, rows, np.ones(grid)]), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        x, y = x / scale, y / scale
    edge = 0.5  # a pixel reaches half a pixel around its centre
    inside = (x >= -edge) & (y >= -edge) & (x <= size[1] - 1 + edge) & (y <= size[0] - 1 + edge) & (scale > 0)
    x, y = np.nan_to_num(x), np.nan_to_num(y)
    return (
        np.clip(y, 0, size[0] - 1).astype(np.float32),
        np.clip(x, 0, size[1] - 1).astype(np.float32),
        inside,
    )
