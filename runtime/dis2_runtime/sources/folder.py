"""`folder:DIR`: the pictures of a folder in name order, one each period of the sensor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from dis2_edge.errors import DataError, SourceError
from dis2_edge.images import SUFFIXES, read_image
from dis2_edge.sensors import Sensor
from dis2_runtime.clock import RunClock
from dis2_runtime.frames import Delivery, Frame
from dis2_runtime.sources import Address, options_of


@dataclass(frozen=True)
class FolderOptions:
    """What may follow the question mark of `folder:DIR?...`."""

    loop: bool = False
    """1 starts again after the last picture; else the source ends there."""
    rate_hz: float = 0.0
    """Pictures a second; 0 takes the sensor's nominal rate."""
    bands: tuple[int, ...] = ()
    """Channels to take, counted from 1; empty takes all."""

    def __post_init__(self) -> None:
        if not 0 <= self.rate_hz < math.inf or any(band < 1 for band in self.bands):
            raise SourceError(f"rate_hz {self.rate_hz}, bands {self.bands}", expected="0 or more; bands from 1")


class FolderSource:
    """Pictures as frames. One that cannot be read is a lost frame with its reason, not the end of the sensor."""

    def __init__(self, sensor: Sensor, folder: Path, options: FolderOptions) -> None:
        self._sensor, self._folder, self._options = sensor, folder, options
        self._files: list[Path] = []
        self._sequence = 0
        self._period_ns = 1e9 / (options.rate_hz or sensor.rate_hz)

    def open(self) -> None:
        """List the pictures."""
        if not self._folder.is_dir():
            raise SourceError(f"sensor {self._sensor.name!r}: {self._folder} is not a folder")
        self._files = sorted(path for path in self._folder.iterdir() if path.suffix.lower() in SUFFIXES)
        if not self._files:
            raise SourceError(
                f"sensor {self._sensor.name!r}: no picture in {self._folder}", expected=f"files {', '.join(SUFFIXES)}"
            )

    def next(self) -> Delivery | None:
        """The next picture, captured and delivered at its place in the rhythm."""
        number = self._sequence
        if not self._files or (number >= len(self._files) and not self._options.loop):
            return None
        self._sequence += 1
        time_ns = round(number * self._period_ns)
        try:
            pixels = read_image(self._files[number % len(self._files)])
        except DataError as error:
            return Delivery(time_ns, None, str(error))
        bands = [band - 1 for band in self._options.bands]
        if bands and max(bands) >= pixels.shape[2]:
            return Delivery(time_ns, None, f"{pixels.shape[2]} channels, but band {max(bands) + 1} was asked for")
        return Delivery(time_ns, Frame(self._sensor.name, pixels[..., bands] if bands else pixels, time_ns, number))

    def close(self) -> None:
        """Nothing is held open between two pictures."""
        self._files = []


def make(sensor: Sensor, grid: tuple[int, int], address: Address, clock: RunClock) -> FolderSource:
    """The source at `address`."""
    return FolderSource(sensor, address.path, options_of(FolderOptions, address))
