"""The overlay sink: a video of what was seen, with the mask over it and a caption that says how far to trust it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from dis2_edge.task import Task
from dis2_runtime.outcome import Outcome
from dis2_runtime.sinks import Wants
from dis2_runtime.sinks.painting import Painter
from dis2_runtime.sinks.video import Video


class OverlaySink:
    """Writes overlay.mp4, playable up to the last half second at any time; after a failure overlay-2.mp4, and so on.

    The rate is constant: a tick that is missing shows the picture before it again.
    """

    def __init__(self, folder: Path, task: Task, rate_hz: float) -> None:
        """`rate_hz`: ticks, and so pictures, a second."""
        optical = [sensor.name for sensor in task.sensors if sensor.kind == "optical"]
        others = [name for name in task.sensor_names if name not in optical]
        self.wants = Wants(confidence=False, frames=(*optical, *others))
        self._folder, self._rate_hz = folder, rate_hz
        self._painter = Painter(task, self.wants.frames)
        self._video: Video | None = None
        self._parts = self._next = 0
        self._last: npt.NDArray[np.uint8] | None = None
        self._video = self._open(0)

    def write(self, outcome: Outcome) -> None:
        """Append the picture of one tick, and first those of the ticks that are missing before it."""
        place = round(outcome.tick.time_ns / 1e9 * self._rate_hz)
        video = self._video or self._open(place)
        try:
            while self._last is not None and self._next < place:
                self._append(video, self._last)
            self._last = self._painter.paint(outcome)
            if self._next <= place:
                self._append(video, self._last)
        except BaseException:
            self._video = None
            self._parts -= not video.count  # an empty file is begun again
            video.abandon()
            raise

    def sync(self) -> None:
        """Bring to the disk what the file holds."""
        if self._video:
            self._video.sync()

    def close(self) -> None:
        """Finish the file."""
        if self._video:
            self._video.close()

    def _append(self, video: Video, picture: npt.NDArray[np.uint8]) -> None:
        video.append(picture)
        self._next += 1

    def _open(self, place: int) -> Video:
        self._parts += 1
        name = "overlay.mp4" if self._parts == 1 else f"overlay-{self._parts}.mp4"
        self._video, self._next, self._last = Video(self._folder / name, self._painter.size, self._rate_hz), place, None
        return self._video
