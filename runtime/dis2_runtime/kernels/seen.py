"""What the kernel `prepare` tells of a frame: how its tallies lie in memory, what they mean, and the same by NumPy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dis2_edge.prepare import find_holes
from dis2_edge.sensors import Sensor


@dataclass(frozen=True)
class Seen:
    """What was seen of a frame before its holes were filled; tuples hold one figure a channel, of its valid values."""

    pixels: int
    """Pixels of the frame."""
    hole_pixels: int
    """Pixels with a hole in any channel."""
    holes: tuple[int, ...]
    """Values that are holes."""
    least: tuple[float, ...]
    """Least value, in the sensor's unit; NaN in a channel of nothing but holes, here and below."""
    most: tuple[float, ...]
    """Largest value."""
    mean: tuple[float, ...]
    """Mean."""
    std: tuple[float, ...]
    """Standard deviation."""
    at_lowest: tuple[int, ...]
    """Count of values that are the least number of an integer type; 0 of float32."""
    at_highest: tuple[int, ...]
    """Count of values that are its largest number."""

    @property
    def hole_share(self) -> float:
        """Share of values that are holes, 0..1."""
        return sum(self.holes) / (self.pixels * len(self.holes))


def tally_dtype(sensor: Sensor) -> np.dtype[Any]:
    """One channel's tally as it lies in memory: sums of integers as they are, of floats normalised."""
    value, total = ("<f4", "<f8") if sensor.dtype == "float32" else ("<u4", "<u8")
    counts = [(name, "<u4") for name in ("holes", "first", "lowest", "highest")]
    return np.dtype([*counts, ("sum", total), ("squares", total), ("least", value), ("most", value)])


def seen_in(tallies: npt.NDArray[Any], sensor: Sensor, pixels: int) -> Seen:
    """What `tallies` (C,) of `tally_dtype` say of a frame of that many pixels."""
    looks = [_look(tally, sensor, channel, pixels) for channel, tally in enumerate(tallies)]
    least, most, mean, std = zip(*looks, strict=True)
    return Seen(
        pixels=pixels,
        hole_pixels=int(tallies["first"].sum()),
        holes=tuple(map(int, tallies["holes"])),
        least=least,
        most=most,
        mean=mean,
        std=std,
        at_lowest=tuple(map(int, tallies["lowest"])),
        at_highest=tuple(map(int, tallies["highest"])),
    )


def seen_of(pixels: npt.NDArray[Any], sensor: Sensor) -> Seen:
    """What is to be seen of `pixels` HxWxC, in float64."""
    holes = find_holes(pixels, sensor)
    bad = np.zeros(pixels.shape, np.bool_) if holes is None else holes
    kept = [pixels[..., channel][~bad[..., channel]].astype(np.float64) for channel in range(sensor.channels)]
    ends = np.iinfo(pixels.dtype) if pixels.dtype.kind == "u" else None
    return Seen(
        pixels=bad[..., 0].size,
        hole_pixels=int(bad.any(axis=2).sum()),
        holes=tuple(map(int, bad.sum(axis=(0, 1)))),
        least=tuple(float(values.min()) if values.size else math.nan for values in kept),
        most=tuple(float(values.max()) if values.size else math.nan for values in kept),
        mean=tuple(float(values.mean()) if values.size else math.nan for values in kept),
        std=tuple(float(values.std()) if values.size else math.nan for values in kept),
        at_lowest=tuple(int((values == ends.min).sum()) if ends else 0 for values in kept),
        at_highest=tuple(int((values == ends.max).sum()) if ends else 0 for values in kept),
    )


def seen_error(found: Seen, exact: Seen, sensor: Sensor) -> float:
    """How far two accounts of a frame are apart: 1 is allowed, and infinite where a count, least or most differs."""
    same = ("pixels", "hole_pixels", "holes", "at_lowest", "at_highest", "least", "most")
    if not all(np.array_equal(getattr(found, name), getattr(exact, name), equal_nan=True) for name in same):
        return math.inf
    means, stds = (np.array([getattr(one, name) for one in (found, exact)]) for name in ("mean", "std"))
    if not np.array_equal(np.isnan(means[0]), np.isnan(means[1])):
        return math.inf
    size = np.abs(means[1] - sensor.mean) + stds[1] + 1e-5 * np.asarray(sensor.std)
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.maximum(np.abs(means[0] - means[1]) / size, np.abs(stds[0] ** 2 - stds[1] ** 2) / size**2)
    return float(np.nan_to_num(apart, nan=0.0).max() / 1e-5)


def _look(tally: Any, sensor: Sensor, channel: int, pixels: int) -> tuple[float, float, float, float]:
    """Least, most, mean and standard deviation of one channel."""
    count = pixels - int(tally["holes"])
    if not count:
        return (math.nan,) * 4
    total, square = tally["sum"].item(), tally["squares"].item()
    spread = math.sqrt(max(0.0, (count * square - total * total) / count**2))  # of integers exact until here
    mean, std = total / count, spread
    if sensor.dtype == "float32":
        taken, unit = (
            float(np.float32(sensor.mean[channel])),
            float(np.float32(sensor.std[channel])),
        )  # as the kernel has
        mean, std = taken + mean * unit, spread * unit
    return float(tally["least"]), float(tally["most"]), mean, std
