"""Poses from elsewhere: a recorded track of the aircraft, and the pose of a tick."""

from __future__ import annotations

import csv
import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dis2_edge.errors import SourceError
from dis2_edge.settings import nearest
from dis2_runtime.frames import Frame
from dis2_runtime.poses.pose import Pose

COLUMNS = ("time_s", "x", "y", "heading_deg", "gsd_m")
"""What the header of a CSV track must name; other columns are passed over."""


_DEGREES = (4258, 4269, 4283, 4326, 4490, 4674, 4979)
"""Systems in degrees that are often given by mistake; all of them cannot be told from the number."""


@dataclass(frozen=True)
class PoseSettings:
    """The table `[poses]` of a rig."""

    source: str = ""
    """`csv:FILE`, relative to the rig's folder; empty when no track is known."""
    epsg: int = 0
    """The projected coordinate system of x and y."""
    offset_s: float = 0.0
    """Added to every time, to bring the track's clock to the run's, which starts at 0."""
    max_gap_s: float = 1.0
    """Longest time between two fixes that is bridged; in a longer gap the pose is lost."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.offset_s) and 0 < self.max_gap_s < math.inf):
            found = f"poses: offset_s {self.offset_s}, max_gap_s {self.max_gap_s}"
            raise SourceError(found, expected="finite numbers, max_gap_s above 0")
        if self.source and (not 1024 <= self.epsg < 32767 or self.epsg in _DEGREES):
            found = f"poses: epsg is {self.epsg}"
            raise SourceError(found, expected="the EPSG number of a projected system", mend="as in epsg = 32633")


@dataclass(frozen=True)
class Loss:
    """A time without a pose."""

    since_ns: int
    """Time of the last fix."""
    speed_m_s: float | None
    """Speed over the ground before it; None when a single fix tells none."""


class PoseTrack:
    """Fixes in order of time, straight lines between them."""

    def __init__(self, times_ns: Sequence[int], rows: Sequence[Sequence[float]], epsg: int, max_gap_s: float) -> None:
        """`times_ns` rise; `rows` holds x, y, heading_deg and gsd_m of each fix."""
        self._times, self._rows = list(times_ns), np.asarray(rows, np.float64)
        self._max_gap_ns = round(max_gap_s * 1e9)
        self.epsg = epsg
        """The coordinate system."""
        self.end_ns = self._times[-1] + self._max_gap_ns
        """When the track is over: its last fix and the longest gap."""

    def at(self, time_ns: int) -> Pose | None:
        """The pose at `time_ns`; None before the first fix, after the last, and in a gap."""
        after = bisect_right(self._times, time_ns)
        if after and self._times[after - 1] == time_ns:
            return self._pose(self._rows[after - 1])
        if not 0 < after < len(self._times) or self._gap(after) > self._max_gap_ns:
            return None
        share = (time_ns - self._times[after - 1]) / self._gap(after)
        first, step = self._rows[after - 1], self._rows[after] - self._rows[after - 1]
        step[2] = (step[2] + 180) % 360 - 180  # the short way round
        return self._pose(first + share * step)

    def loss(self, time_ns: int) -> Loss | None:
        """Since when there is no pose at `time_ns`, where `at` gives none; None before the first fix."""
        last = bisect_right(self._times, time_ns) - 1
        if last < 0:
            return None
        if last == 0 or self._gap(last) > self._max_gap_ns:
            return Loss(self._times[last], None)
        way_m = math.hypot(*(self._rows[last, :2] - self._rows[last - 1, :2]))
        return Loss(self._times[last], way_m / (self._gap(last) / 1e9))

    def _gap(self, after: int) -> int:
        return self._times[after] - self._times[after - 1]

    def _pose(self, row: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Pose:
        x, y, heading, gsd = row.tolist()
        return Pose(x, y, heading % 360, gsd, self.epsg)


def load(settings: PoseSettings, base: Path) -> PoseTrack | None:
    """The track of a rig; None when it names none. SourceError on a file that is no track."""
    if not settings.source:
        return None
    scheme, _, place = settings.source.partition(":")
    if scheme != "csv" or not place:
        raise SourceError(f"poses: source is {settings.source!r}", expected="csv:FILE")
    path = base / place
    try:
        lines = list(csv.reader(path.read_text("utf-8-sig").splitlines(), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"poses: {path} cannot be read ({error})", expected="a CSV file") from error
    places = _columns(path, lines[0] if lines else [])
    fixes = [_fix(path, number, line, places) for number, line in enumerate(lines[1:], 2) if line]
    if not fixes:
        raise SourceError(f"poses: {path} holds no fix", expected="a line for each")
    times_ns = [round((fix[0] + settings.offset_s) * 1e9) for fix in fixes]
    for number in range(1, len(fixes)):
        if times_ns[number] <= times_ns[number - 1]:
            raise SourceError(f"poses: {path}: time_s {fixes[number][0]} does not follow", expected="rising times")
    return PoseTrack(times_ns, [fix[1:] for fix in fixes], settings.epsg, settings.max_gap_s)


def pose_of(frames: Iterable[Frame], track: PoseTrack | None) -> Pose | None:
    """Where the mask of `frames`, those that a tick used in recipe order, lies on the ground.

    The first frame that knows its pose tells it; else the track at the capture of the first frame.
    """
    used = list(frames)
    known = next((frame.pose for frame in used if frame.pose is not None), None)
    return known or (track.at(used[0].time_ns) if track and used else None)


def _columns(path: Path, header: list[str]) -> list[int]:
    names = [name.strip() for name in header]
    for column in COLUMNS:
        if column not in names:
            mend = nearest(column, names) if names else ""
            raise SourceError(f"poses: {path} has no column {column!r}", expected=",".join(COLUMNS), mend=mend)
    return [names.index(column) for column in COLUMNS]


def _fix(path: Path, number: int, line: list[str], places: list[int]) -> list[float]:
    """The five numbers of a line."""
    try:
        values = [float(line[place]) for place in places]
    except (ValueError, IndexError) as error:
        raise SourceError(f"poses: {path}, line {number}: {error}", expected="five numbers") from error
    if not all(abs(value) < 1e9 for value in values) or values[4] <= 0:
        raise SourceError(f"poses: {path}, line {number}: {values}", expected="finite numbers, gsd_m above 0")
    return values
