"""Windows for `benchmarks.health`: a few seconds of flight or hover over one picture, in any light, noisy or not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dis2_edge.sensors import Sensor
from dis2_runtime.frames import Delivery, Frame

Pixels = npt.NDArray[Any]
MARGIN_PX, SPEED_PX = 48, 3
"""Border that is mirrored around a picture, and how far a flight goes over it from frame to frame at 10 Hz."""
NOISE_DN, NOISE_SHARE, NOISE_STD = 1.5, 0.2, 0.03
"""Noise of integers in numbers, at most that share of the picture's standard deviation by day; of float32 a share."""
JITTER, LAG_MS = 0.1, 8.0
NOTHING_BUT_NOISE = 1.5
"""Mean squared step between neighbours over the variance, from which a picture shows nothing but noise."""


@dataclass(frozen=True)
class Light:
    """What happens to visible light: value x gain + offset, both drawn from a range, once a window."""

    gain: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Kind:
    """A kind of clean window."""

    name: str
    """What it is called in the table."""
    moves: bool
    """Whether the aircraft flies on."""
    noisy: tuple[int, ...]
    """Which sensors are noisy, by their place; negative: all."""
    light: Light = Light()
    """What the optical sensors see by."""
    louder: bool = False
    """Whether it makes noise louder, and so is of pictures only that show more than noise."""


ALL = (-1,)
KINDS = (
    Kind("flight, noise", True, ALL),
    Kind("flight, no noise", True, ()),
    Kind("hover, noise", False, ALL),
    Kind("hover, no noise", False, ()),
    Kind("hover, only the first noisy", False, (0,)),
    Kind("hover, only the second noisy", False, (1,)),
    Kind("night flight, noise", True, ALL, Light((0.06, 0.12), (1, 4))),
    Kind("night hover, noise", False, ALL, Light((0.06, 0.12), (1, 4))),
    Kind("fog, flight, noise", True, ALL, Light((0.15, 0.35), (130, 180))),
    Kind("over-exposed flight, noise", True, ALL, Light((1.3, 2.2), (10, 30)), louder=True),
)


class WindowSource:
    """One sensor's deliveries over one picture HxWxC; `noise` draws from a few fields made once.

    All sensors of a window have one `seed`: from it come the light and where the flight begins.
    """

    def __init__(
        self, sensor: Sensor, picture: Pixels, kind: Kind, place: int, seed: Sequence[int], seconds: float
    ) -> None:
        self._sensor, self._kind, self._seconds = sensor, kind, seconds
        self._random = np.random.default_rng([*seed, place])
        shared = np.random.default_rng(seed)
        self._start, self._light = int(shared.integers(4 * MARGIN_PX)), _drawn(kind.light, shared)
        self._noisy = kind.noisy == ALL or place in kind.noisy
        border = ((MARGIN_PX, MARGIN_PX), (MARGIN_PX, MARGIN_PX), (0, 0))
        self._fields = _noise(picture, self._random) if self._noisy else []
        picture = _lit(picture, self._light, sensor)
        self._picture, self._size = np.pad(picture, border, mode="reflect"), picture.shape
        self._number = 0

    def open(self) -> None:
        """Nothing to do."""

    def next(self) -> Delivery | None:
        """The next look, with jitter and lag."""
        period_ms = self._sensor.period_ms
        time_ms = max(0.0, (self._number + self._random.uniform(-JITTER, JITTER)) * period_ms)
        if time_ms > self._seconds * 1000:
            return None
        due_ms = time_ms + self._random.uniform(0.5, 1.5) * LAG_MS
        frame = Frame(self._sensor.name, self._look(time_ms), round(time_ms * 1e6), self._number)
        self._number += 1
        return Delivery(round(due_ms * 1e6), frame)

    def close(self) -> None:
        """Nothing is held."""

    def _look(self, time_ms: float) -> Pixels:
        way = self._start + (round(time_ms / 100 * SPEED_PX) if self._kind.moves else 0)
        place = abs((way + 2 * MARGIN_PX) % (4 * MARGIN_PX) - 2 * MARGIN_PX)  # to and fro
        height, width, _ = self._size
        pixels = self._picture[place // 2 : place // 2 + height, place : place + width]
        if not self._fields:
            return pixels.copy()
        field = self._fields[self._random.integers(len(self._fields))]
        shift = self._random.integers(0, min(height, width), 2)
        low, high = self._sensor.valid_min, self._sensor.valid_max
        values = np.clip(pixels + np.roll(field, shift, axis=(0, 1)), low, high)
        holes = ~((pixels >= low) & (pixels <= high))  # a dead pixel stays dead
        return np.where(holes, pixels, values).astype(self._sensor.dtype)


def _drawn(light: Light, random: np.random.Generator) -> tuple[float, float]:
    return float(random.uniform(*light.gain)), float(random.uniform(*light.offset))


def _lit(picture: Pixels, light: tuple[float, float], sensor: Sensor) -> Pixels:
    if sensor.kind != "optical" or light == (1, 0):
        return picture
    values = picture.astype(np.float32) * light[0] + light[1]
    return np.clip(values, sensor.valid_min, sensor.valid_max).astype(sensor.dtype)


def _noise(picture: Pixels, random: np.random.Generator) -> list[Pixels]:
    std = float(np.nanstd(picture, axis=(0, 1)).mean())
    if picture.dtype.kind == "u":
        scale = min(NOISE_DN, NOISE_SHARE * std)
        return [np.rint(random.normal(0, scale, picture.shape)).astype(np.int16) for _ in range(3)]
    scale = max(NOISE_STD * std, 0.02)
    return [random.normal(0, scale, picture.shape).astype(np.float32) for _ in range(3)]


def clean_kinds(sensors: tuple[Sensor, ...], picture: Mapping[str, Pixels]) -> Iterator[Kind]:
    """The kinds that mean something for these sensors over this picture."""
    for kind in KINDS:
        optical = [sensor for sensor in sensors if sensor.kind == "optical"]
        lit = kind.light == Light() or (bool(optical) and (not kind.louder or _shows(picture[optical[0].name])))
        if lit and max(kind.noisy, default=0) < len(sensors):
            yield kind


def _shows(picture: Pixels) -> bool:
    """Whether there is more to see than noise: some drawn nights have nothing else."""
    values = picture.astype(np.float64)
    step, variance = np.square(np.diff(values, axis=1)).mean(), values.var(axis=(0, 1)).mean()
    return bool(step < NOTHING_BUT_NOISE * variance)
