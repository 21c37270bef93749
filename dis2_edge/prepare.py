"""Bring a sensor's frame to the grid, fill its holes, normalise it: the NumPy reference of every faster version."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import InternalError
from dis2_edge.geometry import Places, RemapTable, Size, crop_corner, is_bent, places
from dis2_edge.sensors import Sensor

Pixels = npt.NDArray[Any]


def align(pixels: Pixels, sensor: Sensor, grid: Size, remap: RemapTable | None = None) -> Pixels:
    """`pixels` HxWxC brought to `grid` (height, width), same dtype. What fits already is returned as it is, uncopied.

    A `to_grid` other than identity maps native pixels straight to grid pixels (pixel centres at whole numbers, as
    calibration tools write it), and nothing is left for `fit` to do; what lies outside the frame becomes a hole (NaN
    in float32, the sensor's mean in integers). Else `fit` acts: `resize` is bilinear with half-pixel centres and no
    smoothing, `crop` takes the centre, `tile` wants frames cut beforehand (`dis2_edge.tiles`). A `lens` is taken out
    in the same look-up; a `remap` table stands for all of these. DataError when a frame is too small to crop, was not
    cut, or covers nothing of the grid.
    """
    if remap is not None:
        return _warp(pixels, sensor, places(sensor, (pixels.shape[0], pixels.shape[1]), grid, remap))
    if is_bent(sensor):
        return _warp(pixels, sensor, _places(sensor, pixels.shape[:2], grid))
    if pixels.shape[:2] == grid:
        return pixels
    if sensor.fit == "resize":
        return _resize(pixels, grid)
    return _crop(pixels, sensor, grid)


def bring(pixels: Pixels, sensor: Sensor, grid: Size, remap: RemapTable | None = None) -> tuple[Pixels, int]:
    """`pixels` HxWxC on `grid` without holes, and how many pixels were filled: what training and flight both use.

    Holes are filled before anything is interpolated, or a nodata value would blend into its neighbours and pass for
    valid; what the look-up leaves open outside the frame is filled, and in float32 counted, afterwards.
    """
    filled, holes = fill_holes(pixels, sensor)
    placed = align(filled, sensor, grid, remap)
    if placed is filled or pixels.dtype.kind != "f":
        return placed, holes
    # Interpolation may round past the valid range, which makes no hole: only what was left open is one.
    placed, outside = fill_holes(placed, dataclasses.replace(sensor, valid_min=-math.inf, valid_max=math.inf))
    return placed, holes + outside


def mark_holes(pixels: Pixels, sensor: Sensor) -> Pixels:
    """`pixels` HxWxC with NaN for every hole of a float32 sensor, so that interpolation keeps a hole a hole."""
    holes = find_holes(pixels, sensor) if pixels.dtype.kind == "f" else None
    return pixels if holes is None else np.where(holes, np.float32(np.nan), pixels)


def align_label(label: npt.NDArray[np.uint8], sensor: Sensor | None, grid: Size, ignore: int) -> npt.NDArray[np.uint8]:
    """`label` HxW brought to `grid` by the way of `sensor`, nearest pixel; None resizes. Outside becomes `ignore`."""
    if sensor is not None and is_bent(sensor):
        found = _places(sensor, (label.shape[0], label.shape[1]), grid)
        nearest = label[np.rint(found.rows).astype(np.intp), np.rint(found.columns).astype(np.intp)]
        return np.where(found.inside, nearest, np.uint8(ignore)).astype(np.uint8)
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


def invert(pixels: Pixels, sensor: Sensor) -> Pixels:
    """`pixels` HxWxC mirrored in the sensor's valid range, same dtype: the coldest becomes the hottest, holes stay."""
    total = sensor.valid_min + sensor.valid_max
    if pixels.dtype.kind == "f":
        mirrored = np.asarray(total - pixels, pixels.dtype)
    else:  # wraps around on the way, and ends within the range; no wider type is needed
        most = 1 << (8 * pixels.dtype.itemsize)
        mirrored = np.subtract(np.array(round(total) % most, pixels.dtype), pixels)
    holes = find_holes(pixels, sensor)
    if holes is not None:
        mirrored[holes] = pixels[holes]
    return mirrored


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
    top, left = crop_corner(sensor, (pixels.shape[0], pixels.shape[1]), grid)
    return pixels[top : top + grid[0], left : left + grid[1]]


def _resize(pixels: Pixels, grid: Size) -> Pixels:
    """Bilinear, rows first so that the second pass works on fewer pixels."""
    out = pixels
    for axis in (0, 1):
        low, high, weight = bilinear(pixels.shape[axis], grid[axis])
        weight = weight.reshape(-1, *(1,) * (2 - axis))
        first = np.take(out, low, axis).astype(np.float32, copy=False)
        out = np.take(out, high, axis) - first
        out *= weight
        out += first
    return _as(out, pixels.dtype)


def _warp(pixels: Pixels, sensor: Sensor, found: Places) -> Pixels:
    """Bilinear look-up of each grid pixel in the native frame."""
    rows, columns = found.rows, found.columns
    top, left = np.floor(rows).astype(np.intp), np.floor(columns).astype(np.intp)
    bottom, right = np.minimum(top + 1, pixels.shape[0] - 1), np.minimum(left + 1, pixels.shape[1] - 1)
    down, across = ((rows - top)[..., None], (columns - left)[..., None])
    source = pixels.astype(np.float32, copy=False)
    upper = source[top, left] * (1 - across) + source[top, right] * across
    lower = source[bottom, left] * (1 - across) + source[bottom, right] * across
    out = (upper * (1 - down) + lower * down).astype(np.float32, copy=False)
    if not found.inside.all():
        out[~found.inside] = np.nan if pixels.dtype.kind == "f" else _outside(pixels, sensor)
    return _as(out, pixels.dtype)


def _outside(pixels: Pixels, sensor: Sensor) -> Pixels:
    """The value of an integer sensor's pixels that its frame does not cover."""
    return np.asarray(sensor.mean or pixels.mean(axis=(0, 1), dtype=np.float64))


def _as(values: npt.NDArray[np.float32], dtype: np.dtype[Any]) -> Pixels:
    """Round to `dtype`; float32 passes through."""
    return values.astype(dtype, copy=False) if dtype.kind == "f" else np.rint(values).astype(dtype)


@functools.lru_cache(maxsize=32)
def bilinear(source: int, target: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """Lower and upper source index and the upper one's weight, for each of `target` half-pixel centres."""
    place = np.clip((np.arange(target) + 0.5) * (source / target) - 0.5, 0, source - 1)
    low = np.floor(place).astype(np.intp)
    return low, np.minimum(low + 1, source - 1), (place - low).astype(np.float32)


def _nearest(source: int, target: int) -> npt.NDArray[np.intp]:
    return np.minimum(((np.arange(target) + 0.5) * (source / target)).astype(np.intp), source - 1)


@functools.lru_cache(maxsize=16)
def _places(sensor: Sensor, size: Size, grid: Size) -> Places:
    """For training, whose few geometries come again with every sample; flight keeps its own."""
    return places(sensor, size, grid)
