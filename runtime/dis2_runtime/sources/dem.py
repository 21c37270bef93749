"""`dem:FILE`: terrain, cut where the aircraft's pose puts the grid. It ages by the way flown, not by the clock.

Each period the cut is stamped anew while the pose lies within `max_shift_m` of where it was cut; beyond, the terrain
is cut again. Without a pose the stamp stays at the last fix, so that the frame ages from there, until the aircraft may
have flown further than that: from then on only the reason is delivered.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import DataError, SourceError
from dis2_edge.sensors import IDENTITY, Sensor
from dis2_runtime.clock import RunClock
from dis2_runtime.frames import Delivery, Frame
from dis2_runtime.poses.pose import Pose
from dis2_runtime.poses.track import PoseTrack
from dis2_runtime.rasters import Raster, open_raster
from dis2_runtime.sources import Address, options_of

_NOTHING_PX = 1e-6


@dataclass(frozen=True)
class DemOptions:
    """What may follow the question mark of `dem:FILE?...`."""

    max_shift_m: float = 0.0
    """How far any corner of the grid may lie from where the terrain was cut; 0 takes one grid pixel."""
    epsg: int = 0
    """Coordinate system of a world file."""

    def __post_init__(self) -> None:
        if not 0 <= self.max_shift_m < math.inf:
            raise SourceError(f"max_shift_m is {self.max_shift_m}", expected="0 or more")


@dataclass(frozen=True)
class _Cut:
    """Terrain at a pose."""

    pixels: npt.NDArray[np.float32]
    pose: Pose
    known_ns: int
    """When the grid was last known to lie there."""


class DemSource:
    """Heights under the grid, one frame a period. Where the raster ends or has no data they are NaN."""

    def __init__(
        self, sensor: Sensor, grid: tuple[int, int], address: Address, options: DemOptions, track: PoseTrack
    ) -> None:
        self._sensor, self._grid, self._address, self._options, self._track = sensor, grid, address, options, track
        self._size = sensor.size if min(sensor.size) > 0 else grid
        self._raster: Raster | None = None
        self._cut: _Cut | None = None
        self._number = 0
        if (sensor.dtype, sensor.channels) != ("float32", 1):
            found = f"{address.uri}: sensor {sensor.name!r} is {sensor.dtype} of {sensor.channels} channels"
            raise SourceError(found, expected="heights, float32 of 1")
        if sensor.to_grid != IDENTITY or sensor.lens or (sensor.fit != "resize" and self._size != grid):
            found = f"{address.uri}: the terrain is cut on the grid, and {sensor.name!r} has a geometry of its own"
            raise SourceError(found, expected="none", mend=f"leave it out of [sensors.{sensor.name}] of the rig")

    def open(self) -> None:
        """Open the raster and read its head."""
        try:
            self._raster = open_raster(self._address.path, self._options.epsg)
        except DataError as error:
            raise SourceError(f"sensor {self._sensor.name!r}: {error}") from error
        georeference = self._raster.georeference
        if georeference is None or self._raster.shape[2] != 1:
            found = (
                f"{self._address.path} has no georeference"
                if georeference is None
                else f"{self._raster.shape[2]} bands"
            )
            raise SourceError(found, expected="a GeoTIFF of one band, or one with a world file")
        if georeference.epsg not in (0, self._track.epsg):
            found = f"{self._address.path} lies in EPSG:{georeference.epsg}, the poses in EPSG:{self._track.epsg}"
            raise SourceError(found, expected="one system", mend=f"gdalwarp -t_srs EPSG:{self._track.epsg} IN OUT")

    def next(self) -> Delivery | None:
        """The next cut, or why there is none; None when the track is over."""
        number, time_ns = self._number, round(self._number * 1e9 / self._sensor.rate_hz)
        if self._raster is None or time_ns > self._track.end_ns:
            return None
        self._number += 1
        pose = self._track.at(time_ns)
        try:
            problem = self._lost(time_ns) if pose is None else self._renew(pose, time_ns)
        except DataError as error:
            return Delivery(time_ns, None, str(error))
        if self._cut is None or problem:
            return Delivery(time_ns, None, problem, lost=True)
        return Delivery(time_ns, Frame(self._sensor.name, self._cut.pixels, self._cut.known_ns, number))

    def close(self) -> None:
        """Let the raster go."""
        if self._raster is not None:
            self._raster.close()
        self._raster = None

    def _renew(self, pose: Pose, time_ns: int) -> str:
        """Cut again if the grid has moved too far, else know that it is still there."""
        last = self._cut
        near = last is not None and shift_m(last.pose, pose, self._grid) <= self._most_m(pose)
        if last is not None and near:
            self._cut = _Cut(last.pixels, last.pose, time_ns)
        elif self._raster is not None:
            self._cut = _Cut(cut(self._raster, pose, self._grid, self._size), pose, time_ns)
        return ""

    def _lost(self, time_ns: int) -> str:
        """Why the last cut cannot stand for the ground at `time_ns`, without a pose; empty while it can."""
        loss = self._track.loss(time_ns)
        if loss is None:
            return "no pose yet"
        away_s = (time_ns - loss.since_ns) / 1e9
        if loss.speed_m_s is None:
            return f"no pose for {away_s * 1e3:.0f} ms: the ground moved since, at a speed that is not known"
        pose = self._track.at(loss.since_ns)
        if self._cut is None or pose is None:
            return f"no pose for {away_s * 1e3:.0f} ms"
        way_m = away_s * loss.speed_m_s
        moved_m = shift_m(self._cut.pose, pose, self._grid) + way_m
        if moved_m > self._most_m(pose) or away_s * 1e3 > self._sensor.max_age_ms:
            return f"no pose for {away_s * 1e3:.0f} ms: the ground moved {way_m:.1f} m since"
        self._cut = _Cut(self._cut.pixels, self._cut.pose, loss.since_ns)
        return ""

    def _most_m(self, pose: Pose) -> float:
        return self._options.max_shift_m or pose.gsd_m


def cut(raster: Raster, pose: Pose, grid: tuple[int, int], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Heights HxWx1 of `raster` in metres at the centres of `size` pixels spread over the grid at `pose`, bilinear.

    NaN beyond the raster and beside pixels without data. Raises DataError when the file is damaged.
    """
    if raster.georeference is None:
        raise DataError(f"{raster.path} has no georeference")
    a, b, c, d, e, f = pose.transform(grid)
    rows = ((np.arange(size[0]) + 0.5) * grid[0] / size[0])[:, None]
    columns = ((np.arange(size[1]) + 0.5) * grid[1] / size[1])[None, :]
    across, down = raster.georeference.place(a * columns + b * rows + c, d * columns + e * rows + f)
    return _bilinear(raster, down, across)[..., None]


def shift_m(one: Pose, other: Pose, grid: tuple[int, int]) -> float:
    """The farthest that a corner of the grid lies from itself between two poses, in metres."""
    corners = np.array([(0, 0, 1), (grid[1], 0, 1), (0, grid[0], 1), (grid[1], grid[0], 1)], np.float64).T
    here, there = (np.reshape(pose.transform(grid), (2, 3)) @ corners for pose in (one, other))
    return float(np.hypot(*(here - there)).max())


def _bilinear(raster: Raster, down: npt.NDArray[Any], across: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """The raster at places whose whole numbers are pixel corners; only the pixels below them are read."""
    height, width, _ = raster.shape
    inside = (down >= 0) & (down <= height) & (across >= 0) & (across <= width)
    if not inside.any():
        return np.full(inside.shape, np.nan, np.float32)
    row, column = np.clip(down - 0.5, 0, height - 1), np.clip(across - 0.5, 0, width - 1)
    top, left = int(row.min()), int(column.min())
    ground = raster.read(top, left, math.ceil(row.max()) - top + 1, math.ceil(column.max()) - left + 1)[..., 0]
    ground = np.pad(ground.astype(np.float32, copy=False), ((0, 1), (0, 1)), mode="edge")  # a neighbour for the last
    first_row, lower = _split(row - top)
    first_column, later = _split(column - left)
    place, step = first_row * ground.shape[1] + first_column, ground.shape[1]
    flat = ground.reshape(-1)
    upper = _mixed(flat.take(place), flat.take(place + 1), later)
    under = _mixed(flat.take(place + step), flat.take(place + step + 1), later)
    mixed = _mixed(upper, under, lower)
    mixed[~inside] = np.nan
    return mixed


def _split(place: npt.NDArray[Any]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """The pixel whose centre is before, and how far beyond it; less than the arithmetic's own error is nothing."""
    first = (place + _NOTHING_PX).astype(np.intp)
    return first, np.maximum(place - first - _NOTHING_PX, 0).astype(np.float32)


def _mixed(
    one: npt.NDArray[np.float32], other: npt.NDArray[np.float32], share: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Between two values; one of no weight is not asked, so that its NaN stays its own."""
    mixed = (other - one) * share + one
    return np.where(share == 0, one, mixed) if np.isnan(mixed).any() else mixed


def make(
    sensor: Sensor, grid: tuple[int, int], address: Address, clock: RunClock, track: PoseTrack | None = None
) -> DemSource:
    """The source at `address`, cut along `track`."""
    options = options_of(DemOptions, address)
    if track is None:
        raise SourceError(
            f"{address.uri}: no poses", expected="where the aircraft flies", mend="add [poses] to the rig"
        )
    return DemSource(sensor, grid, address, options, track)
