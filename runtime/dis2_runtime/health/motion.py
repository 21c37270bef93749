"""Evidence that the aircraft moves while one sensor's picture stands still: from other pictures and from poses. Pure.

A picture that repeats is no fault by itself: over still ground a camera without noise, or behind a video codec, sends
the same bytes again and again. It becomes one when meanwhile another sensor's picture moves away from what it was, by
more than its noise from frame to frame explains, or when a pose does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from dis2_edge.glance import Values
from dis2_edge.task import Task
from dis2_runtime.health.glimpse import Glimpse
from dis2_runtime.poses.pose import Pose

DRIFTS, DRIFT_LEAST, DRIFT_ENOUGH = 2.0, 0.02, 0.3
"""A picture moves when it is this many times less like the one at the start, and a bit, than like the one before; so
much less like it is enough, where a few roofs on a plain hardly overlap from one frame to the next."""
UNLIKE = 0.4
"""A picture with a correlation to the one at the start below this moves, if it is no noise."""
NOISY = 1.0
"""Noise ratio from which a picture is no witness: a still one would be unlike itself."""
STRIKES = 2
"""Frames of a witness that must tell of motion; one may be damaged."""
MOVED_SHARE, TURNED_DEG = 0.05, 3.0
"""A pose moves by this share of the frame's width, or this turn."""
REMEMBERED_NS = 10_000_000_000
"""What stood still for so long is compared with a later start: shadows move, positions drift."""


@dataclass
class _Mark:
    """How the others were when a sensor's picture began to stand still."""

    at_ns: int
    first: dict[str, Values] = field(default_factory=dict)
    last: dict[str, Values] = field(default_factory=dict)
    poses: dict[str, Pose] = field(default_factory=dict)
    strikes: dict[str, int] = field(default_factory=dict)
    moved: str = ""


class Motion:
    """Watches the glimpses and poses of all sensors for those whose pictures stand still."""

    def __init__(self, task: Task) -> None:
        self._heights = {sensor.name for sensor in task.sensors if sensor.kind == "height"}
        self._width = task.grid[1]
        self._marks: dict[str, _Mark] = {}

    def stand(self, sensor: str, at_ns: int, now: Mapping[str, Glimpse | None]) -> None:
        """The picture of `sensor` repeats, at `at_ns`, while all look like `now`; to be called for every repeat."""
        mark = self._marks.get(sensor)
        if mark is None or (not mark.moved and at_ns - mark.at_ns > REMEMBERED_NS):
            first = {name: seen.values.copy() for name, seen in now.items() if seen is not None and name != sensor}
            self._marks[sensor] = _Mark(at_ns, first, dict(first))

    def go(self, sensor: str) -> None:
        """The picture of `sensor` is a new one."""
        self._marks.pop(sensor, None)

    def moved(self, sensor: str) -> str:
        """What tells that the aircraft moved while the picture of `sensor` stood still; empty when nothing does."""
        mark = self._marks.get(sensor)
        return mark.moved if mark else ""

    def saw(self, witness: str, glimpse: Glimpse | None, pose: Pose | None) -> None:
        """A frame of `witness` came, with a glimpse of it where its content is good."""
        for sensor, mark in self._marks.items():
            if mark.moved:
                continue
            if pose is not None and _went(mark.poses.setdefault(witness, pose), pose, self._width):
                mark.moved = "the pose moves"
            elif glimpse is not None and witness != sensor and self._tells(mark, witness, glimpse):
                mark.moved = f"the picture of {witness} moves"

    def _tells(self, mark: _Mark, witness: str, glimpse: Glimpse) -> bool:
        now = glimpse.values
        first, last = mark.first.get(witness), mark.last.get(witness)
        mark.last[witness] = now.copy()
        if first is None or last is None or first.shape != now.shape or last.shape != now.shape:
            mark.first[witness] = now.copy()
            return False
        if glimpse.noise_ratio() > NOISY:
            return False
        since_first, since_last = 1 - likeness(first, now), 1 - likeness(last, now)
        drifts = since_first > min(DRIFTS * since_last + DRIFT_LEAST, since_last + DRIFT_ENOUGH)
        jumps = witness not in self._heights and since_first > 1 - UNLIKE
        mark.strikes[witness] = mark.strikes.get(witness, 0) + (drifts or jumps)
        return mark.strikes[witness] >= STRIKES


def likeness(one: Values, other: Values) -> float:
    """Correlation of two glimpses (C, ...) of one shape: 1 for the same picture in any light; 1 when one is flat."""
    one, other = one.reshape(len(one), -1), other.reshape(len(other), -1)
    one, other = one - one.mean(axis=1, keepdims=True), other - other.mean(axis=1, keepdims=True)
    size = float(np.einsum("ij,ij->", one, one)) * float(np.einsum("ij,ij->", other, other))
    return float(np.einsum("ij,ij->", one, other)) / math.sqrt(size) if 0 < size < math.inf else 1.0


def _went(before: Pose, after: Pose, width: int) -> bool:
    if before.epsg != after.epsg:
        return False
    way = math.hypot(after.x - before.x, after.y - before.y)
    turn = abs((after.heading_deg - before.heading_deg + 180) % 360 - 180)
    return way > MOVED_SHARE * width * before.gsd_m or turn > TURNED_DEG
