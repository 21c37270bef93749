"""Bring the frames of a tick to the grid and fill their holes; a frame that fits already costs nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from dis2_edge.errors import EngineError
from dis2_edge.prepare import bring
from dis2_edge.task import Task
from dis2_runtime.frames import Frame


@dataclass(frozen=True)
class Aligned:
    """A frame as the engine takes it."""

    pixels: npt.NDArray[Any]
    """HxWxC on the grid, the sensor's dtype, without holes."""
    holes: int
    """Pixels that were filled."""


class Aligner:
    """The way of every sensor of a task to its grid. The last result of each sensor is kept for a tick that reuses it.

    The look-up tables of a geometry are made by dis2_edge.prepare at its first frame and kept.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._last: dict[str, tuple[Frame, Aligned]] = {}
        for sensor in task.sensors:
            if sensor.fit == "tile" and min(sensor.size) > 0 and sensor.size != task.grid:
                found = f"sensor {sensor.name!r} comes in tiles of a {sensor.size[0]}x{sensor.size[1]} frame"
                raise EngineError(
                    found, expected="resize or crop", mend=f"set fit under [sensors.{sensor.name}] of a rig"
                )

    def align(self, frame: Frame) -> Aligned:
        """`frame` on the grid; a DataError says why it cannot be brought there."""
        frame_before, aligned = self._last.get(frame.sensor, (None, None))
        if aligned is None or frame_before is not frame:
            sensor = self._task.sensor(frame.sensor)
            aligned = Aligned(*bring(frame.pixels, sensor, self._task.grid))
            self._last[frame.sensor] = (frame, aligned)
        return aligned
