"""`scene:FILE`: a big raster, window by window, its rows flown to and fro. Every sensor of one way sees one place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import DataError, SourceError
from dis2_edge.sensors import IDENTITY, Sensor
from dis2_runtime.clock import RunClock
from dis2_runtime.frames import Delivery, Frame
from dis2_runtime.poses.pose import Pose
from dis2_runtime.rasters import Georeference, Raster, open_raster
from dis2_runtime.sources import Address, Source, options_of
from dis2_runtime.sources.wrapped import innermost


@dataclass(frozen=True)
class SceneOptions:
    """What may follow the question mark of `scene:FILE?...`; give all sensors of a flight the same."""

    rate_hz: float = 10.0
    """Windows a second; every sensor delivers every window."""
    step: int = 0
    """Grid pixels from one window to the next, along and across; 0 takes the grid's sides, without overlap."""
    loop: bool = False
    """1 begins again after the last window; else the source ends there."""
    over: str = ""
    """A georeferenced raster whose extent is flown, where the rasters of two sensors cover different ground."""
    bands: tuple[int, ...] = ()
    """Channels to take, counted from 1; empty takes all."""
    epsg: int = 0
    """Coordinate system of a world file."""

    def __post_init__(self) -> None:
        if not 0 < self.rate_hz < math.inf or self.step < 0 or any(band < 1 for band in self.bands):
            found = f"rate_hz {self.rate_hz}, step {self.step}, bands {self.bands}"
            raise SourceError(found, expected="rate_hz above 0, step 0 or more, bands from 1")


@dataclass(frozen=True)
class Way:
    """The windows of a flight, in grid pixels of the ground that it covers."""

    rows: tuple[int, ...]
    """First row of the windows of each pass."""
    columns: tuple[int, ...]
    """First column of the windows along a pass."""
    rate_hz: float
    """Windows a second."""
    corner: tuple[float, float] | None
    """x and y where row and column 0 begin; None when not known."""

    @property
    def windows(self) -> int:
        """How many there are."""
        return len(self.rows) * len(self.columns)

    def window(self, number: int) -> tuple[int, int]:
        """First row and column of window `number`; every second pass runs backwards."""
        across, along = divmod(number % self.windows, len(self.columns))
        return self.rows[across], self.columns[-1 - along if across % 2 else along]


class SceneSource:
    """What one sensor sees of the scene."""

    def __init__(self, sensor: Sensor, grid: tuple[int, int], address: Address, options: SceneOptions) -> None:
        self._sensor, self._grid, self._address, self._options = sensor, grid, address, options
        self._size = sensor.size if min(sensor.size) > 0 else grid
        self._scale = (self._size[0] / grid[0], self._size[1] / grid[1])  # native pixels a grid pixel
        self._raster: Raster | None = None
        self._start = (0.0, 0.0)  # native row and column where the way's ground begins
        self._number = 0
        self.way: Way | None = None
        """The windows; None until opened."""

    def open(self) -> None:
        """Open the raster, read its head, lay out the windows."""
        try:
            self._raster = open_raster(self._address.path, self._options.epsg)
            self._check_channels(self._raster)
            self.way = self._laid_over(self._raster) if self._options.over else self._way(self._raster)
        except DataError as error:
            raise SourceError(f"sensor {self._sensor.name!r}: {error}") from error

    def next(self) -> Delivery | None:
        """The next window; None after the last."""
        if self._raster is None or self.way is None:
            return None
        if self._number >= self.way.windows and not self._options.loop:
            return None
        number, self._number = self._number, self._number + 1
        time_ns = round(number * 1e9 / self.way.rate_hz)
        top, left = self.way.window(number)
        row = _within(self._start[0] + top * self._scale[0], self._raster.shape[0] - self._size[0])
        column = _within(self._start[1] + left * self._scale[1], self._raster.shape[1] - self._size[1])
        try:
            pixels = self._chosen(self._raster.read(row, column, *self._size))
        except DataError as error:
            return Delivery(time_ns, None, str(error))
        pose = self._pose(self._raster.georeference, row, column)
        return Delivery(time_ns, Frame(self._sensor.name, pixels, time_ns, number, pose=pose))

    def close(self) -> None:
        """Let the raster go."""
        if self._raster is not None:
            self._raster.close()
        self._raster = None

    def _check_channels(self, raster: Raster) -> None:
        bands, channels = self._options.bands or tuple(range(1, raster.shape[2] + 1)), self._sensor.channels
        if len(bands) != channels or max(bands) > raster.shape[2]:
            mend = f"choose them: bands={','.join(map(str, range(1, channels + 1)))}"
            raise DataError(f"{raster.path} has {raster.shape[2]} bands", expected=f"{channels}", mend=mend)

    def _chosen(self, pixels: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        bands = [band - 1 for band in self._options.bands]
        return np.ascontiguousarray(pixels[..., bands]) if bands else pixels

    def _way(self, raster: Raster) -> Way:
        """The way over all of the sensor's own raster."""
        height, width = raster.shape[0] / self._scale[0], raster.shape[1] / self._scale[1]
        corner = raster.georeference.ground(0, 0) if raster.georeference else None
        return self._windows(raster, height, width, corner)

    def _laid_over(self, raster: Raster) -> Way:
        """The way over the ground of another raster, which this one must cover."""
        other = open_raster(self._address.base / self._options.over, self._options.epsg)
        shape, own, ground = other.shape, raster.georeference, other.georeference
        other.close()
        if own is None or ground is None:
            blank = raster.path if own is None else other.path
            raise DataError(f"{blank} has no georeference", expected="one, as over= goes by the ground")
        if (own.epsg and ground.epsg and own.epsg != ground.epsg) or _turn(own.heading_deg - ground.heading_deg) > 0.01:
            systems = f"{raster.path} and {other.path} lie in EPSG:{own.epsg} and {ground.epsg}, or one is turned"
            raise DataError(systems, expected="one system and heading", mend="gdalwarp")
        corner = ground.ground(0, 0)
        column, row = own.place(*corner)
        ratio = ground.gsd_m / own.gsd_m  # own pixels a pixel of the other
        self._start = (row, column)
        slack = max(1.0, *self._scale)  # one pixel, of the grid or of the raster
        below, right = row + shape[0] * ratio - raster.shape[0], column + shape[1] * ratio - raster.shape[1]
        if min(row, column) < -slack or max(below, right) > slack:
            found = f"{raster.path} does not cover {other.path}"
            raise DataError(found, expected="all of it", mend="name the smaller raster in over=")
        return self._windows(raster, shape[0] * ratio / self._scale[0], shape[1] * ratio / self._scale[1], corner)

    def _windows(self, raster: Raster, height: float, width: float, corner: tuple[float, float] | None) -> Way:
        """The windows over an extent in grid pixels."""
        if round(height) < self._grid[0] or round(width) < self._grid[1] or _smaller(raster.shape, self._size):
            found = f"{raster.path} offers {round(height)}x{round(width)} grid pixels"
            raise DataError(found, expected=f"a window at least, {self._grid[0]}x{self._grid[1]}")
        step = self._options.step
        rows = _steps(round(height) - self._grid[0], step or self._grid[0])
        columns = _steps(round(width) - self._grid[1], step or self._grid[1])
        return Way(rows, columns, self._options.rate_hz, corner)

    def _pose(self, georeference: Georeference | None, row: int, column: int) -> Pose | None:
        """Where the grid of a window lies; None unless the whole frame becomes the grid, evenly enlarged."""
        even = math.isclose(*self._scale, rel_tol=1e-3)
        plain = self._sensor.to_grid == IDENTITY and self._sensor.lens is None
        whole = plain and (self._sensor.fit == "resize" or self._size == self._grid)
        if georeference is None or not (even and whole):
            return None
        x, y = georeference.ground(column + self._size[1] / 2, row + self._size[0] / 2)
        gsd = georeference.gsd_m * self._scale[1]
        return Pose(float(x), float(y), georeference.heading_deg, gsd, georeference.epsg)


def refuse_apart(sources: Mapping[str, Source]) -> None:
    """SourceError when two opened scenes take different ways: their sensors would not see one place."""
    first = ""
    ways: dict[str, Way] = {}
    for name, source in sources.items():
        scene = innermost(source)
        if isinstance(scene, SceneSource) and scene.way is not None:
            ways[name] = scene.way
            first = first or name
            if not _alike(ways[first], ways[name]):
                found = f"the scenes of {first!r} and {name!r} are flown apart: {_words(ways[first])}, and "
                raise SourceError(found + _words(ways[name]), expected="one way", mend="give both the same over=FILE")


def _alike(one: Way, other: Way) -> bool:
    if (one.rows, one.columns, one.rate_hz) != (other.rows, other.columns, other.rate_hz):
        return False
    corners = (one.corner, other.corner)
    return None in corners or math.dist(one.corner or (), other.corner or ()) < 1.0


def _words(way: Way) -> str:
    corner = "" if way.corner is None else f" from ({way.corner[0]:.2f}, {way.corner[1]:.2f})"
    return f"{len(way.rows)} x {len(way.columns)} windows at {way.rate_hz:g} Hz{corner}"


def _steps(length: int, step: int) -> tuple[int, ...]:
    """Places from 0 to `length`, both included, at most `step` apart."""
    return (*range(0, length, step), length)


def _within(place: float, most: int) -> int:
    return min(max(round(place), 0), most)


def _turn(degrees: float) -> float:
    return abs((degrees + 180) % 360 - 180)


def _smaller(shape: tuple[int, int, int], size: tuple[int, int]) -> bool:
    return shape[0] < size[0] or shape[1] < size[1]


def make(sensor: Sensor, grid: tuple[int, int], address: Address, clock: RunClock) -> SceneSource:
    """The source at `address`."""
    return SceneSource(sensor, grid, address, options_of(SceneOptions, address))
