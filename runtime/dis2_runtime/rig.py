"""A rig: the TOML file of one aircraft. It says where each sensor's frames come from and what differs there.

It belongs to the aircraft and survives deploys; the bundle says everything that the rig leaves open.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dis2_edge.bundle import Policy
from dis2_edge.errors import RecipeError
from dis2_edge.files import read_toml
from dis2_edge.sensors import Fit
from dis2_edge.settings import from_table, nearest
from dis2_edge.task import Task
from dis2_runtime.poses_track import PoseSettings
from dis2_runtime.sinks.geotiff import GeotiffSettings

SinkName = Literal["png", "geotiff", "telemetry"]


@dataclass(frozen=True)
class RigSensor:
    """One table `[sensors.NAME]`. What is left out stays as the bundle has it."""

    source: str = ""
    """Source URI; a relative place is taken below the rig's folder. Empty: none unless --source gives one."""
    offset_ms: float = 0.0
    """Added to every capture stamp, to bring the sensor's clock to the others'."""
    size: tuple[int, int] | None = None
    """Native height and width in pixels."""
    to_grid: tuple[float, ...] | None = None
    """3x3 homography from native pixels to grid pixels, row by row."""
    fit: Fit | None = None
    """How a frame of another size comes to the grid."""
    rate_hz: float | None = None
    """Frames a second."""
    max_age_ms: float | None = None
    """Oldest frame that a tick may use."""

    def __post_init__(self) -> None:
        if not math.isfinite(self.offset_ms):
            raise RecipeError(f"offset_ms is {self.offset_ms}", expected="a finite number")


@dataclass(frozen=True)
class RigPolicy:
    """The table `[policy]`. What is left out stays as the bundle has it."""

    anchor: str | None = None
    """Sensor whose frames start a tick; "" ticks at `rate_hz`."""
    rate_hz: float | None = None
    """Ticks a second without an anchor."""
    return_after: int | None = None
    """Good frames before a lost sensor is believed again."""
    hold_ms: float | None = None
    """How long the last mask may be repeated when blind."""


@dataclass(frozen=True)
class Rig:
    """A whole RIG.toml."""

    sensors: dict[str, RigSensor] = field(default_factory=dict)
    """What differs, by sensor."""
    policy: RigPolicy = field(default_factory=RigPolicy)
    """What differs in the policy."""
    sinks: tuple[SinkName, ...] = ("png", "telemetry")
    """What is written: mask pictures, masks on the map, telemetry rows."""
    poses: PoseSettings = field(default_factory=PoseSettings)
    """Where the aircraft flies."""
    geotiff: GeotiffSettings = field(default_factory=GeotiffSettings)
    """What the sink `geotiff` writes."""
    base: Path = Path()
    """Folder that relative places of sources start from."""

    def task(self, task: Task) -> Task:
        """The bundle's `task` as it is on this aircraft; an unknown sensor is a RecipeError that names the nearest."""
        _known(self.sensors, task)
        sensors = [_changed(sensor, self.sensors.get(sensor.name, RigSensor())) for sensor in task.sensors]
        return dataclasses.replace(task, sensors=tuple(sensors))

    def policy_over(self, policy: Policy, task: Task) -> Policy:
        """The bundle's `policy` as it is on this aircraft."""
        new: Policy = _changed(policy, self.policy)
        if new.anchor:
            _known([new.anchor], task)
        if not (0 < new.rate_hz < math.inf and new.return_after >= 1 and new.hold_ms >= 0):
            raise RecipeError(f"{new}", expected="rate_hz above 0, return_after 1 or more, hold_ms 0 or more")
        return new


def load(path: Path) -> Rig:
    """Read the rig at `path`."""
    return from_table(Rig, read_toml(path, RecipeError), where=str(path), base=path.parent)


def _known(names: Iterable[str], task: Task) -> None:
    for name in names:
        if name not in task.sensor_names:
            raise RecipeError(f"rig: unknown sensor {name!r}", mend=nearest(name, task.sensor_names))


def _changed(original: Any, changes: RigSensor | RigPolicy) -> Any:
    """`original` with those fields of `changes` that it has and that are not None."""
    fields = {entry.name for entry in dataclasses.fields(original)}
    given = {name: value for name, value in vars(changes).items() if name in fields and value is not None}
    return dataclasses.replace(original, **given)
