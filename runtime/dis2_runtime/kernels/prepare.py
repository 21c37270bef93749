"""A sensor's frame made ready for an engine, and what was seen of it, in one pass: launcher, reference, cases."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import EngineError
from dis2_edge.prepare import fill_holes, normalise
from dis2_edge.sensors import Sensor
from dis2_runtime.driver import Driver, Module, Stream
from dis2_runtime.kernels.launching import check_address, check_positive, cover, line_of
from dis2_runtime.kernels.proving import Case, Room, worst
from dis2_runtime.kernels.seen import Seen, seen_error, seen_in, seen_of, tally_dtype

THREADS = 256
WARPS = THREADS // 32
WIDE = 8
"""Pixels that a thread takes at a time, where it can."""
MOST_WIDE_CHANNELS = 4
MOST_CHANNELS = 128
"""Their tallies have to fit into shared memory."""
MOST_PIXELS = 1 << 30
MOST_A_THREAD = 32_768
"""Pixels; the sums of more would not fit a thread's registers."""
BLOCKS_AN_SM = 4
_SOURCES = {"uint8": "u8", "uint16": "u16", "float32": "f32"}
_TARGETS = {"float32": 0, "float16": 1, "int8": 2}


class Prepare:
    """Launches `prepare` for the frames of one sensor on one grid; holds a little memory of the device."""

    def __init__(
        self,
        driver: Driver,
        module: Module,
        sensor: Sensor,
        grid: tuple[int, int],
        target_dtype: npt.DTypeLike,
        scale: float = 1.0,
    ) -> None:
        """`grid` is height and width of the frames; `scale` is that of int8: the value of its 1."""
        check_positive(height=grid[0], width=grid[1])
        _check(sensor, grid, np.dtype(target_dtype), scale)
        self._driver, self._sensor, self._pixels = driver, sensor, grid[0] * grid[1]
        self._target, self._scale = np.dtype(target_dtype), np.float32(scale)
        kernels = ("any", "total") + (f"c{sensor.channels}",) * (sensor.channels <= MOST_WIDE_CHANNELS)
        self._kernels = {kernel: module.function(f"prepare_{_SOURCES[sensor.dtype]}_{kernel}") for kernel in kernels}
        self._most = max(driver.device.multiprocessors * BLOCKS_AN_SM, cover(self._pixels, THREADS * MOST_A_THREAD))
        self._tally = tally_dtype(sensor)
        self._channels = driver.allocate(16 * sensor.channels)
        stream, table = driver.stream(), _table(sensor)
        driver.copy_in(self._channels.address, table, stream)
        stream.synchronize()

    @property
    def summary_bytes(self) -> int:
        """Bytes at the begin of the statistics that are worth copying out, for `statistics`."""
        return self._tally.itemsize * self._sensor.channels

    @property
    def statistics_bytes(self) -> int:
        """Bytes that a launch writes at the address of the statistics."""
        return self.summary_bytes * (1 + min(cover(self._pixels, THREADS), self._most))

    def launch(self, stream: Stream, frame: int, target: int, statistics: int, *, summed: bool = True) -> None:
        """Addresses of: frame (H, W, C) in the sensor's dtype; target (C, H, W); statistics of `statistics_bytes`.

        Who reads no statistics asks for none to be `summed`: that is a launch of its own.
        """
        check_address("frame", frame, np.dtype(self._sensor.dtype).itemsize)
        check_address("target", target, self._target.itemsize)
        check_address("statistics", statistics, 8)
        channels = self._sensor.channels
        wide = channels <= MOST_WIDE_CHANNELS and self._pixels % WIDE == 0 and (frame | target) % 16 == 0
        blocks = min(cover(self._pixels, THREADS * (WIDE if wide else 1)), self._most)
        parts = statistics + self.summary_bytes
        given = (frame, target, parts, self._channels.address, *_range(self._sensor))
        sizes = (np.int32(self._pixels), np.int32(_TARGETS[self._target.name]), self._scale)
        self._driver.launch(
            self._kernels[f"c{channels}" if wide else "any"],
            line_of(blocks),
            (THREADS, 1, 1),
            WARPS * self.summary_bytes,
            stream,
            (*given, *sizes) if wide else (*given, *sizes, np.int32(channels)),
        )
        if summed:
            self._sum(stream, parts, statistics, blocks)

    def statistics(self, raw: npt.NDArray[np.uint8]) -> Seen:
        """What the first `summary_bytes` of the statistics say."""
        return seen_in(raw[: self.summary_bytes].view(self._tally), self._sensor, self._pixels)

    def free(self) -> None:
        """Give the device's memory back."""
        self._channels.free()

    def _sum(self, stream: Stream, parts: int, statistics: int, blocks: int) -> None:
        """Join the tallies of all blocks."""
        self._driver.launch(
            self._kernels["total"],
            line_of(self._sensor.channels),
            (THREADS, 1, 1),
            WARPS * self._tally.itemsize,
            stream,
            (parts, statistics, np.int32(blocks)),
        )


def prepared_of(pixels: npt.NDArray[Any], sensor: Sensor, dtype: npt.DTypeLike, scale: float = 1) -> npt.NDArray[Any]:
    """`pixels` HxWxC without holes and normalised, CxHxW, by the reference that training uses."""
    normal = normalise(fill_holes(pixels, sensor)[0], sensor)
    if np.dtype(dtype) == np.int8:
        normal = np.clip(np.rint(normal / np.float32(scale)), -128, 127)
    with np.errstate(over="ignore"):
        prepared: npt.NDArray[Any] = normal.astype(dtype)
    return prepared


def _check(sensor: Sensor, grid: tuple[int, int], target: np.dtype[Any], scale: float) -> None:
    where = f"sensor {sensor.name!r}"
    if sensor.channels > MOST_CHANNELS or grid[0] * grid[1] > MOST_PIXELS:
        found = f"{where}: {grid[0]}x{grid[1]} pixels of {sensor.channels} channels"
        raise EngineError(found, expected=f"at most {MOST_PIXELS} of {MOST_CHANNELS}")
    if target.name not in _TARGETS:
        raise EngineError(f"{where}: target {target.name}", expected=", ".join(_TARGETS))
    if not sensor.mean or not sensor.std:
        raise EngineError(f"{where} carries no mean and std", expected="statistics of its training split")
    extreme = 30 if sensor.dtype != "float32" else 120
    for name, value in (*(("std", one) for one in sensor.std), ("scale", scale)):
        if not 2.0**-extreme <= value <= 2.0**extreme:
            raise EngineError(f"{where}: {name} is {value}", expected=f"within 2^-{extreme}..2^{extreme}")
    for value in sensor.mean:
        _check_mean(where, value, np.dtype(sensor.dtype))


def _check_mean(where: str, mean: float, dtype: np.dtype[Any]) -> None:
    """A mean of integers lies among them; next to 0 it would spoil the quick division."""
    if dtype.kind == "f":
        good, expected = abs(mean) < float(np.finfo(dtype).max), f"a finite {dtype.name}"
    else:
        last = int(np.iinfo(dtype).max)
        good, expected = mean == 0 or 2.0**-20 <= mean <= last, f"0, or {2.0**-20:.0e} to {last}"
    if not good:
        raise EngineError(f"{where}: mean is {mean}", expected=expected)


def _table(sensor: Sensor) -> npt.NDArray[np.float32]:
    """(C, 4): mean, std, 1 / std, and what a hole becomes."""
    mean, std = np.asarray(sensor.mean, np.float32), np.asarray(sensor.std, np.float32)
    filling = mean if sensor.dtype == "float32" else np.rint(np.asarray(sensor.mean, np.float64))
    return np.stack([mean, std, np.float32(1) / std, filling], axis=1).astype(np.float32)


def _range(sensor: Sensor) -> tuple[np.generic, np.generic]:
    """Least and largest valid value; of integers the least is above the largest where none is valid."""
    if sensor.dtype == "float32":
        with np.errstate(over="ignore"):  # a limit that float32 does not reach is none
            return np.float32(sensor.valid_min), np.float32(sensor.valid_max)
    last = int(np.iinfo(sensor.dtype).max)
    if sensor.valid_min > last or sensor.valid_max < 0:
        return np.uint32(1), np.uint32(0)
    low = math.ceil(sensor.valid_min) if sensor.valid_min > 0 else 0
    return np.uint32(low), np.uint32(math.floor(sensor.valid_max) if sensor.valid_max < last else last)


@dataclass(frozen=True)
class _Shape:
    """One case; `offset` moves frame and target by so many elements off their alignment."""

    dtype: Any
    channels: int
    grid: tuple[int, int]
    target: str
    valid: tuple[float, float] = (-math.inf, math.inf)
    odd: bool = False
    """NaN and infinities among the values."""
    offset: int = 0


_SHAPES = (
    _Shape("uint8", 3, (16, 24), "float16"),
    _Shape("uint8", 1, (8, 9), "int8", (40.5, 200)),
    _Shape("uint8", 2, (8, 24), "float32", (0, 99)),
    _Shape("uint8", 3, (5, 7), "int8", (3, 250)),
    _Shape("uint8", 4, (4, 6), "int8", (0, 254)),
    _Shape("uint8", 6, (4, 8), "float16", (100, 255)),
    _Shape("uint8", 3, (8, 8), "float16", offset=1),
    _Shape("uint8", 1, (130, 256), "int8"),
    _Shape("uint16", 1, (9, 40), "float16", (0.2, 0.7)),
    _Shape("uint16", 2, (8, 7), "int8", (1, 65_535)),
    _Shape("uint16", 2, (3, 3), "float32"),
    _Shape("uint16", 3, (8, 9), "float32", (40_000, 1e9)),
    _Shape("uint16", 4, (8, 24), "float16", (100, 60_000)),
    _Shape("float32", 1, (12, 30), "float16", (-500, 9000), odd=True),
    _Shape("float32", 3, (8, 40), "int8", (-1, 1), odd=True),
    _Shape("float32", 4, (8, 24), "float32", odd=True),
    _Shape("float32", 2, (1, 1), "float32"),
    _Shape("float32", 2, (8, 3), "float16"),
    _Shape("float32", 2, (9, 13), "int8", (-2, 1), odd=True, offset=1),
)


def cases() -> Iterator[Case]:
    """`prepare` against `prepared_of`, to the last bit, and `seen_of`: floats' mean and std to a part in 10^5."""
    for one in _SHAPES:
        grid = "x".join(map(str, one.grid))
        extras = ", not finite" * one.odd + f", {one.offset} off" * bool(one.offset)
        title = f"{one.channels} channels of {one.dtype} to {one.target}, {grid}, valid {one.valid}{extras}"
        yield Case("prepare", title, _Run(one))


@dataclass(frozen=True)
class _Run:
    shape: _Shape

    def __call__(self, room: Room) -> float:
        one = self.shape
        sensor, pixels = _sensor(one, room.random), _pixels(one, room.random)
        kernel = Prepare(room.driver, room.module, sensor, one.grid, one.target, 0.03)
        try:
            target = room.take((one.channels, *one.grid), one.target, one.offset * np.dtype(one.target).itemsize)
            told = room.take((kernel.statistics_bytes,), np.uint8)
            given = room.give(pixels, one.offset * pixels.itemsize)
            kernel.launch(room.stream, given, target.address, told.address)
            prepared, seen = room.read(target), kernel.statistics(room.read(told))
        finally:
            kernel.free()
        if not np.array_equal(prepared, prepared_of(pixels, sensor, one.target, 0.03)):
            return worst()
        return seen_error(seen, seen_of(pixels, sensor), sensor)


def _sensor(one: _Shape, random: np.random.Generator) -> Sensor:
    last = 1 if one.dtype == "float32" else int(np.iinfo(one.dtype).max)
    low, high = one.valid if one.dtype != "float32" or one.odd else (-100.0, 100.0)
    low, high = (max(low, -1e30), min(high, 1e30)) if one.odd else (low, high)
    mean, std = (tuple((random.random(one.channels) * last / 2 + last / 4).tolist()) for _ in range(2))
    return Sensor("seen", "height", one.channels, one.dtype, "DN", low, high, mean, std)


def _pixels(one: _Shape, random: np.random.Generator) -> npt.NDArray[Any]:
    shape = (*one.grid, one.channels)
    if one.dtype != "float32":
        values = random.integers(0, int(np.iinfo(one.dtype).max), shape, one.dtype, endpoint=True)
        values.reshape(-1)[::11] = np.iinfo(one.dtype).max
        return values
    pixels = random.standard_normal(shape).astype(np.float32)
    if one.odd:
        flat = pixels.reshape(-1)
        flat[::5], flat[1::7], flat[2::9] = np.nan, np.inf, -np.inf
    return pixels
