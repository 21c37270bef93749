"""What a sensor's frames usually look like: means for normalisation, and limits that flight checks frames against."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import DataError
from dis2_edge.glance import ENTROPY_MOST, frame_entropy
from dis2_edge.prepare import align, find_holes, mark_holes
from dis2_edge.sensors import Sensor
from dis2_edge.task import Task
from dis2_edge.terminal import progress

if TYPE_CHECKING:  # what flies reads no data set, and starts sooner without its reader
    from dis2_edge.dataset import DataSet

_MARGIN = 0.25
_SAMPLED = 4096
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SensorStatistics:
    """One sensor over a split, on the grid, holes left out; every value in the sensor's unit."""

    name: str
    """Name of the sensor."""
    mean: tuple[float, ...]
    """Per-channel mean over all pixels."""
    std: tuple[float, ...]
    """Per-channel standard deviation over all pixels, above 0."""
    low: float
    """0.1 % of the values are less."""
    high: float
    """0.1 % of the values are more."""
    frame_mean_low: float
    """Least mean of one frame, with a margin of a quarter of their range."""
    frame_mean_high: float
    """Largest mean of one frame, with the same margin."""
    frame_std_low: float
    """Least standard deviation within one frame, with a margin, but above 0 when every frame had some."""
    frame_std_high: float
    """Largest standard deviation within one frame, with a margin."""
    hole_share_high: float
    """Largest share of holes in one frame, 0..1, with a margin."""
    frame_entropy_low: float = 0.0
    """Least entropy of one native frame in bits (see `glance`), with a margin; 0 when it was not measured."""
    frame_entropy_high: float = ENTROPY_MOST
    """Largest entropy of one native frame in bits, with a margin."""


def measure(dataset: DataSet, split: str) -> tuple[SensorStatistics, ...]:
    """The statistics of every sensor of `dataset` over `split`, in the task's order; a few damaged samples are skipped.

    DataError when all of a sensor is holes, or more than 1 % of the samples are damaged.
    """
    tallies = [Tally(sensor) for sensor in dataset.task.sensors]
    for id_ in progress(dataset.ids(split), f"measure {split}"):
        sample = dataset.read_or_skip(split, id_)
        if sample is None:
            continue
        for tally in tallies:
            native = sample.frames[tally.sensor.name]
            tally.add(align(mark_holes(native, tally.sensor), tally.sensor, dataset.task.grid), native)
    return tuple(tally.result(split) for tally in tallies)


def with_statistics(task: Task, statistics: Sequence[SensorStatistics]) -> Task:
    """`task` with each sensor carrying the mean and std of its statistics; what a sensor states already stays."""
    table = {row.name: row for row in statistics}
    missing = [name for name in task.sensor_names if name not in table]
    if missing:
        raise DataError(f"no statistics of sensor {missing[0]!r}", expected=", ".join(task.sensor_names))
    sensors = tuple(
        dataclasses.replace(
            sensor, mean=sensor.mean or table[sensor.name].mean, std=sensor.std or table[sensor.name].std
        )
        for sensor in task.sensors
    )
    return dataclasses.replace(task, sensors=sensors)


@dataclass(frozen=True)
class FrameLook:
    """What one frame looks like, in the terms of `SensorStatistics`."""

    mean: float
    """Mean over the channels of their means, in the sensor's unit; NaN when a channel is nothing but holes."""
    std: float
    """Mean over the channels of their standard deviations."""
    hole_share: float
    """Share of pixels with a hole, 0..1."""


def look(pixels: npt.NDArray[Any], sensor: Sensor) -> FrameLook:
    """The look of one frame HxWxC whose holes are not yet filled: what flight compares with the statistics."""
    count, total, square, share = _sums(pixels, sensor)
    return FrameLook(*(_mean_std(count, total, square) if count.all() else (float("nan"), float("nan"))), share)


class Tally:
    """Running sums of one sensor, for those who look at frames one by one; see `measure`."""

    def __init__(self, sensor: Sensor) -> None:
        self.sensor = sensor
        self.count: Doubles = np.zeros(sensor.channels)
        self.total: Doubles = np.zeros(sensor.channels)
        self.square: Doubles = np.zeros(sensor.channels)
        self.values: list[npt.NDArray[np.float32]] = []
        self.means: list[float] = []
        self.stds: list[float] = []
        self.hole_shares: list[float] = []
        self.entropies: list[float] = []

    def add(self, pixels: npt.NDArray[Any], native: npt.NDArray[Any] | None = None) -> None:
        """Take in one frame HxWxC; a frame of nothing but holes counts in the share of holes only.

        `native` is the frame as the sensor gives it, where `pixels` were brought to the grid: flight's looks at that.
        """
        count, total, square, share = _sums(pixels, self.sensor)
        self.hole_shares.append(share)
        self.count, self.total, self.square = self.count + count, self.total + total, self.square + square
        if count.all():
            mean, std = _mean_std(count, total, square)
            self.means.append(mean)
            self.stds.append(std)
            holes = find_holes(pixels, self.sensor) if share else None
            kept = pixels.ravel() if holes is None else pixels[~holes]
            self.values.append(kept[:: max(kept.size // _SAMPLED, 1)].astype(np.float32))
            whole = pixels if native is None else native
            self.entropies.append(frame_entropy(whole, self.sensor.valid_min, self.sensor.valid_max))

    def result(self, split: str) -> SensorStatistics:
        """The statistics of what was taken in."""
        if not self.values:
            raise DataError(
                f"sensor {self.sensor.name!r}: no frame of split {split!r} has a valid value",
                expected=f"values in {self.sensor.valid_min}..{self.sensor.valid_max} {self.sensor.unit}",
            )
        mean = self.total / self.count
        std = np.maximum(np.sqrt(np.maximum(self.square / self.count - mean**2, 0)), 1e-6)
        low, high = np.percentile(np.concatenate(self.values), [0.1, 99.9])
        wide = _MARGIN * (max(self.means) - min(self.means)) + 0.05 * float(std.mean())
        std_wide = _MARGIN * (max(self.stds) - min(self.stds)) + 0.05 * float(std.mean())
        entropy_low, entropy_high = _entropy_range(self.entropies)
        return SensorStatistics(
            name=self.sensor.name,
            mean=tuple(mean.tolist()),
            std=tuple(std.tolist()),
            low=float(low),
            high=float(high),
            frame_mean_low=min(self.means) - wide,
            frame_mean_high=max(self.means) + wide,
            frame_std_low=max(min(self.stds) - std_wide, min(self.stds) / 2),
            frame_std_high=max(self.stds) + std_wide,
            hole_share_high=min(1.0, 1.5 * max(self.hole_shares) + 0.02),
            frame_entropy_low=entropy_low,
            frame_entropy_high=entropy_high,
        )


def _entropy_range(entropies: Sequence[float]) -> tuple[float, float]:
    """Least and largest entropy with the margin of the other ranges, within what is possible."""
    known = [value for value in entropies if value == value] or [0.0, ENTROPY_MOST]
    wide = _MARGIN * (max(known) - min(known)) + 0.05
    return max(0.0, min(known) - wide), min(ENTROPY_MOST, max(known) + wide)


def _sums(pixels: npt.NDArray[Any], sensor: Sensor) -> tuple[Doubles, Doubles, Doubles, float]:
    """Per channel the number, sum and sum of squares of valid values; and the share of pixels with a hole."""
    holes = find_holes(pixels, sensor)
    exact = pixels.astype(np.float64)
    count = np.full(pixels.shape[2], float(exact[..., 0].size))
    if holes is not None:
        exact[holes] = 0.0
        count -= holes.sum(axis=(0, 1))
    share = 0.0 if holes is None else float(holes.any(axis=2).mean())
    return count, exact.sum(axis=(0, 1)), np.einsum("hwc,hwc->c", exact, exact), share


def _mean_std(count: Doubles, total: Doubles, square: Doubles) -> tuple[float, float]:
    """Mean over the channels of their means and of their standard deviations."""
    spread = np.sqrt(np.maximum(square / count - (total / count) ** 2, 0))
    return float((total / count).mean()), float(spread.mean())
