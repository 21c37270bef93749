"""Fill the holes of one sensor's frames in place of a copy each: equal to `dis2_edge.prepare.fill_holes`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dis2_edge.sensors import Sensor
from dis2_runtime.align.lookup import Pixels


def filling(sensor: Sensor) -> Pixels:
    """What a hole of each channel becomes: the sensor's mean, rounded for integers."""
    mean = np.asarray(sensor.mean, np.float64)
    return (mean if sensor.dtype == "float32" else np.rint(mean)).astype(sensor.dtype)


class Filler:
    """Holes of frames of one shape."""

    def __init__(self, sensor: Sensor, shape: tuple[int, int, int]) -> None:
        self._low, self._high = _bounds(sensor)
        self._filling = filling(sensor)
        self._bad, self._over = np.empty(shape, np.bool_), np.empty(shape, np.bool_)
        self._any = np.empty(shape[:2], np.bool_)

    def fill(self, pixels: Pixels, out: Pixels) -> tuple[Pixels, int]:
        """`pixels` and 0 where there is no hole; else `out`, filled, and the number of pixels with a hole."""
        if self._low is None and self._high is None:
            return pixels, 0
        if self._is_whole(pixels):
            return pixels, 0
        self._mark(pixels)
        holes = int(np.count_nonzero(np.logical_or.reduce(self._bad, axis=2, out=self._any)))
        if not holes:
            return pixels, 0
        np.copyto(out, pixels)
        for channel, value in enumerate(self._filling):
            np.copyto(out[..., channel], value, where=self._bad[..., channel])
        return out, holes

    def _is_whole(self, pixels: Pixels) -> bool:
        """Whether no value is out of range; NaN compares false."""
        return bool(
            (self._low is None or pixels.min() >= self._low) and (self._high is None or pixels.max() <= self._high)
        )

    def _mark(self, pixels: Pixels) -> None:
        self._bad[...] = True
        if self._low is not None:
            np.greater_equal(pixels, self._low, out=self._bad)
        if self._high is not None:
            np.less_equal(pixels, self._high, out=self._over)
            self._bad &= self._over
        np.logical_not(self._bad, out=self._bad)


def _bounds(sensor: Sensor) -> tuple[Any, Any]:
    """Smallest and largest valid value in the sensor's own dtype; None where no value of an integer can pass it."""
    if sensor.dtype == "float32":
        return np.float32(sensor.valid_min), np.float32(sensor.valid_max)
    limits, kind = np.iinfo(sensor.dtype), np.dtype(sensor.dtype).type
    low, high = sensor.valid_min, sensor.valid_max
    if low > limits.max or high < limits.min:  # nothing is valid: no value is both
        return kind(limits.max), kind(limits.min)
    return (
        kind(math.ceil(low)) if low > limits.min else None,
        kind(math.floor(high)) if high < limits.max else None,
    )
