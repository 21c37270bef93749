"""`flight:DIR`: a simulated flight. A window moves over a scene; each sensor looks at its own rate, with jitter.

All sensors share one path, a function of time alone, so that frames captured at one time show one place.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dis2_edge.errors import DataError, SourceError
from dis2_edge.images import SUFFIXES, Pixels, read_image
from dis2_edge.sensors import Sensor
from dis2_runtime.clock import RunClock
from dis2_runtime.frames import Delivery, Frame
from dis2_runtime.sources import Address, options_of

SIDEWAYS = 0.381
"""Speed across the scene over speed along it; no simple ratio, so that the path covers the scene."""


@dataclass(frozen=True)
class FlightOptions:
    """What may follow the question mark of `flight:DIR?...`; give all sensors of a flight the same."""

    speed_px_s: float = 12.0
    """Speed over the scene, in grid pixels a second."""
    jitter: float = 0.1
    """Largest departure of a capture time from the rhythm, as a share of the period."""
    lag_ms: float = 8.0
    """Mean time from capture to arrival; it varies by half of this."""
    seconds: float = 0.0
    """Length of the flight; 0 flies without end."""
    seed: int = 0
    """Seed of jitter and lag."""

    def __post_init__(self) -> None:
        if self.speed_px_s < 0 or not 0 <= self.jitter < 0.5 or self.lag_ms < 0 or self.seconds < 0 or self.seed < 0:
            raise SourceError(f"flight options {self}", expected="numbers of 0 or more, jitter below 0.5")


class FlightSource:
    """What one sensor sees of the flight."""

    def __init__(self, sensor: Sensor, grid: tuple[int, int], folder: Path, options: FlightOptions) -> None:
        self._sensor, self._grid, self._folder, self._options = sensor, grid, folder, options
        self._window = sensor.size if min(sensor.size) > 0 else grid
        self._random = np.random.default_rng([options.seed, zlib.crc32(sensor.name.encode())])
        self._scene: Pixels | None = None
        self._sequence = 0
        self._last_due_ns = 0

    def open(self) -> None:
        """Read the scene."""
        files = [self._folder / f"{self._sensor.name}{suffix}" for suffix in SUFFIXES]
        file = next((file for file in files if file.is_file()), None)
        if file is None:
            expected = f"{self._sensor.name}.png or .tif there"
            raise SourceError(f"no scene of sensor {self._sensor.name!r} in {self._folder}", expected=expected)
        try:
            scene = read_image(file)
        except DataError as error:
            raise SourceError(str(error)) from error
        if scene.shape[0] < self._window[0] or scene.shape[1] < self._window[1]:
            found = f"the scene {file} is {scene.shape[0]}x{scene.shape[1]} pixels"
            raise SourceError(found, expected=f"at least the sensor's frame, {self._window[0]}x{self._window[1]}")
        self._scene = scene

    def next(self) -> Delivery | None:
        """The next look at the scene; None after `seconds`."""
        period_ns = 1e9 / self._sensor.rate_hz
        departure, delay = (
            self._random.uniform(-self._options.jitter, self._options.jitter),
            self._random.uniform(0.5, 1.5),
        )
        time_ns = max(0, round((self._sequence + departure) * period_ns))
        if self._scene is None or (self._options.seconds and time_ns > self._options.seconds * 1e9):
            return None
        due_ns = max(self._last_due_ns, time_ns + round(delay * self._options.lag_ms * 1e6))
        frame = Frame(self._sensor.name, self._look(self._scene, time_ns), time_ns, self._sequence)
        self._sequence, self._last_due_ns = self._sequence + 1, due_ns
        return Delivery(due_ns, frame)

    def close(self) -> None:
        """Let the scene go."""
        self._scene = None

    def _look(self, scene: Pixels, time_ns: int) -> Pixels:
        height, width = self._window
        scale = (height / self._grid[0], width / self._grid[1])  # native pixels a grid pixel
        extent = (round(scene.shape[0] / scale[0]), round(scene.shape[1] / scale[1]))
        top, left = corner(time_ns / 1e9, self._options.speed_px_s, extent, self._grid)
        row = min(round(top * scale[0]), scene.shape[0] - height)
        column = min(round(left * scale[1]), scene.shape[1] - width)
        return scene[row : row + height, column : column + width].copy()


def corner(time_s: float, speed_px_s: float, scene: tuple[int, int], grid: tuple[int, int]) -> tuple[int, int]:
    """Row and column, in grid pixels, of the window's first pixel at `time_s`, over a scene of that extent.

    It runs along the scene and back, and more slowly across it and back.
    """
    along = _to_and_fro(time_s * speed_px_s, scene[1] - grid[1])
    across = _to_and_fro(time_s * speed_px_s * SIDEWAYS, scene[0] - grid[0])
    return round(across), round(along)


def _to_and_fro(way: float, length: int) -> float:
    if length <= 0:
        return 0.0
    way %= 2 * length
    return way if way <= length else 2 * length - way


def make(sensor: Sensor, grid: tuple[int, int], address: Address, clock: RunClock) -> FlightSource:
    """The source at `address`."""
    return FlightSource(sensor, grid, address.path, options_of(FlightOptions, address))
