"""Bring the frames of a tick to the grid and fill their holes; a frame that fits already costs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dis2_edge.errors import DataError
from dis2_edge.geometry import RemapTable, Size, check_homography, check_remap, crop_corner, is_bent, places
from dis2_edge.prepare import bring
from dis2_edge.sensors import IDENTITY, Sensor
from dis2_edge.task import Task
from dis2_runtime.align.holes import Filler, filling
from dis2_runtime.align.lookup import LookUp, Pixels, opencv, placing, resizing
from dis2_runtime.frames import Frame

KEPT_SIZES = 2
"""Native sizes of a sensor whose tables are kept: a source that changes size and back pays once."""


@dataclass(frozen=True)
class Aligned:
    """A frame as the engine takes it."""

    pixels: Pixels
    """HxWxC on the grid, the sensor's dtype, without holes."""
    holes: int
    """Pixels that were filled."""


class Aligner:
    """The way of every sensor of a task to its grid. The last result of each sensor is kept for a tick that reuses it.

    Tables of a geometry are made once, at the start where the native size is known, else at its first frame. Results
    lie in two buffers a sensor by turns: each is valid until the sensor's next frame but one is aligned.
    """

    def __init__(self, task: Task, remaps: Mapping[str, RemapTable] | None = None, *, fast: bool = True) -> None:
        """`task` has the grid that is flown (`tiler.output_task`); `remaps` are a rig's tables by sensor.

        `fast` takes OpenCV where it is installed and exact. Raises DataError for a geometry that can never fit.
        """
        remaps = remaps or {}
        self._ways = {
            sensor.name: _Way(sensor, task.grid, remaps.get(sensor.name), fast=fast) for sensor in task.sensors
        }
        self._last: dict[str, tuple[Frame, Aligned]] = {}

    def align(self, frame: Frame) -> Aligned:
        """`frame` on the grid; a DataError says why it cannot be brought there."""
        frame_before, aligned = self._last.get(frame.sensor, (None, None))
        if aligned is None or frame_before is not frame:
            aligned = self._ways[frame.sensor].bring(frame.pixels)
            self._last[frame.sensor] = (frame, aligned)
        return aligned


class _Way:
    """One sensor's way to the grid."""

    def __init__(self, sensor: Sensor, grid: Size, remap: RemapTable | None, *, fast: bool) -> None:
        self._sensor, self._grid, self._remap, self._fast = sensor, grid, remap, fast
        self._routes: dict[Size, _Route | str] = {}
        shape = (*grid, sensor.channels)
        self._buffers = [np.empty(shape, sensor.dtype), np.empty(shape, sensor.dtype)]
        if remap is not None:
            check_remap(sensor, remap, grid)
        elif sensor.to_grid != IDENTITY:
            check_homography(sensor)
        if min(sensor.size) > 0:
            self._route(sensor.size)
        elif fast:
            opencv()  # a first import in mid-flight would hold up a tick

    def bring(self, pixels: Pixels) -> Aligned:
        """Equal to `dis2_edge.prepare.bring`."""
        fits = pixels.ndim == 3 and pixels.shape[2] == self._sensor.channels and pixels.dtype == self._sensor.dtype
        if not fits or not pixels.size:
            found = f"sensor {self._sensor.name!r}: a frame of shape {pixels.shape}, {pixels.dtype}"
            raise DataError(found, expected=f"HxWx{self._sensor.channels} {self._sensor.dtype}")
        if not self._sensor.mean:
            return Aligned(*bring(pixels, self._sensor, self._grid, self._remap))
        route = self._route((pixels.shape[0], pixels.shape[1]))
        self._buffers.reverse()
        return route.bring(pixels, self._buffers[0])

    def _route(self, size: Size) -> _Route:
        """The tables for frames of `size`, made or kept; a size that does not fit is remembered too."""
        route = self._routes.get(size)
        if route is None:
            while len(self._routes) >= KEPT_SIZES:
                del self._routes[next(iter(self._routes))]
            try:
                route = _Route(self._sensor, size, self._grid, self._remap, fast=self._fast)
            except DataError as error:
                route = str(error)
            self._routes[size] = route
        if isinstance(route, str):
            raise DataError(route)
        return route


class _Route:
    """The tables and buffers for one native size of a sensor."""

    def __init__(self, sensor: Sensor, size: Size, grid: Size, remap: RemapTable | None, *, fast: bool) -> None:
        shape = (*size, sensor.channels)
        self._filler, self._native = Filler(sensor, shape), np.empty(shape, sensor.dtype)
        self._look_up: LookUp | None = None
        self._corner, self._outside = (0, 0), 0
        if remap is not None or is_bent(sensor):
            found = places(sensor, size, grid, remap)
            self._look_up = placing(found, size, filling(sensor), fast=fast)
            if sensor.dtype == "float32":  # integers have no NaN to count by: the reference does not either
                self._outside = int(np.count_nonzero(~found.inside))
        elif sensor.fit == "resize" and size != grid:
            self._look_up = resizing(size, grid, fast=fast)
        else:
            self._corner = crop_corner(sensor, size, grid)

    def bring(self, pixels: Pixels, out: Pixels) -> Aligned:
        """`pixels` on the grid, in `out` unless nothing had to be done."""
        if self._look_up is not None:
            filled, holes = self._filler.fill(pixels, self._native)
            self._look_up(self._contiguous(filled), out)
            return Aligned(out, holes + self._outside)
        if pixels.shape == out.shape:
            return Aligned(*self._filler.fill(pixels, out))
        filled, holes = self._filler.fill(pixels, self._native)
        top, left = self._corner
        np.copyto(out, filled[top : top + out.shape[0], left : left + out.shape[1]])
        return Aligned(out, holes)

    def _contiguous(self, pixels: Pixels) -> Pixels:
        if pixels.flags.c_contiguous:
            return pixels
        np.copyto(self._native, pixels)
        return self._native
