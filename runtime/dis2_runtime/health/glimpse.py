"""A glimpse of a sensor's newest frame: a few thousand values in buffers that are kept, and their plain statistics."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from dis2_edge.glance import Values, pairs
from dis2_edge.sensors import Sensor


class Glimpse:
    """Filled anew by each frame of one sensor; all figures are of the values that are no holes."""

    def __init__(self, sensor: Sensor) -> None:
        self._sensor = sensor
        self.ends = _ends(sensor)
        """Least and largest number of an unsigned type; empty for float32."""
        self._whole = bool(self.ends) and sensor.valid_min <= self.ends[0] and sensor.valid_max >= self.ends[1]
        self._shape: tuple[int, ...] = ()
        self._bits: npt.NDArray[Any] = np.zeros(0)
        self._spare: npt.NDArray[Any] = np.zeros(0)
        self._valid: npt.NDArray[np.bool_] | None = None
        self._ratio: float | None = None
        self.forget()

    def forget(self) -> None:
        """Nothing is seen: the next frame has none before it."""
        self.fresh = False
        """Whether a frame was seen since the last that had another form."""
        self.repeated = False
        """Whether the newest glimpse has the very bits of the one before."""

    def take(self, pixels: npt.NDArray[Any]) -> None:
        """Look at a frame HxWxC of the sensor's dtype."""
        left, right = pairs(pixels)
        if left.shape != self._shape:
            self._allocate(left)
        before, had = self._bits, self.fresh
        self._bits, self._spare = self._spare, self._bits
        self._bits[0], self._bits[1] = left, right
        self.fresh = True
        self.repeated = had and bool(np.array_equal(self._bits.view(np.uint8), before.view(np.uint8)))
        if not self.repeated:
            with np.errstate(invalid="ignore", over="ignore"):  # a signalling NaN is a NaN, and infinity is told
                self._measure()

    @property
    def values(self) -> Values:
        """(C, 2, rows, columns): the values, and their right-hand neighbours; a hole holds the mean of the rest."""
        return self._values

    @property
    def some(self) -> Values:
        """The values that are no holes, without the neighbours."""
        return self._values[:, 0] if self._valid is None else self._values[:, 0][self._valid[:, 0]]

    def share_of(self, value: float) -> float:
        """Share of values that are `value`."""
        valid = self._values if self._valid is None else self._values[self._valid]
        return float(np.count_nonzero(valid == value) / max(valid.size, 1))

    def nan_share(self) -> float:
        """Share of values that are NaN or infinite."""
        return float(1.0 - np.count_nonzero(np.isfinite(self._bits)) / self._bits.size)

    def noise_ratio(self) -> float:
        """Mean squared step between neighbours over the variance: 2 for white noise, far less for ground."""
        if self._ratio is None:
            np.subtract(self._values[:, 1], self._values[:, 0], out=self._steps)
            both = self._steps if self._valid is None else self._steps[self._valid.all(axis=1)]
            square = float(np.einsum("i,i->", both.ravel(), both.ravel())) / both.size if both.size else 0.0
            self._ratio = square / self.variance if self.variance > 0 else 0.0
        return self._ratio

    def noise_ratio_of_all(self) -> float:
        """The same of all values, valid or not, which must be finite: noise knows no valid range."""
        left, right = self._bits.astype(np.float64)
        variance = (left.var(axis=(0, 1)) + right.var(axis=(0, 1))).mean() / 2
        return float(np.square(right - left).mean() / variance) if variance > 0 else 0.0

    def _allocate(self, left: npt.NDArray[Any]) -> None:
        rows, columns, channels = self._shape = left.shape
        self._bits, self._spare = np.zeros((2, 2, rows, columns, channels), left.dtype)
        self._values: Values = np.zeros((channels, 2, rows, columns))
        self._steps: Values = np.zeros((channels, rows, columns))
        self.fresh = False

    def _measure(self) -> None:
        np.copyto(self._values, np.moveaxis(self._bits, 3, 0))
        self._ratio, self._valid, self.hole_share = None, None, 0.0
        if not self._whole:
            valid = (self._values >= self._sensor.valid_min) & (self._values <= self._sensor.valid_max)
            self.hole_share = 1.0 - np.count_nonzero(valid) / valid.size
            self._valid = valid if self.hole_share else None
        self._sum_up()

    def _sum_up(self) -> None:
        """Least and largest value, mean, standard deviation of all, and mean over the channels of their own."""
        counts, total, square, variances = 0, 0.0, 0.0, []
        lows, highs = [], []
        for channel in range(len(self._values)):
            values = self._values[channel].ravel()
            kept = values if self._valid is None else values[self._valid[channel].ravel()]
            if not kept.size:
                values[:] = 0.0
                continue
            summed, squared = float(kept.sum()), float(np.einsum("i,i->", kept, kept))
            mean = summed / kept.size
            variances.append(max(0.0, squared / kept.size - mean * mean))
            counts, total, square = counts + kept.size, total + summed, square + squared
            lows.append(float(kept.min()))
            highs.append(float(kept.max()))
            if kept is not values:
                values[~self._valid[channel].ravel()] = mean  # type: ignore[index]
        self.mean = total / counts if counts else math.nan
        self.std = math.sqrt(max(0.0, square / counts - self.mean * self.mean)) if counts else math.nan
        self.variance = sum(variances) / len(variances) if variances else 0.0
        self.channel_std = sum(map(math.sqrt, variances)) / len(variances) if variances else 0.0
        self.low, self.high = min(lows, default=math.nan), max(highs, default=math.nan)


def _ends(sensor: Sensor) -> tuple[int, ...]:
    dtype = np.dtype(sensor.numpy_dtype)
    return (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)) if dtype.kind == "u" else ()
