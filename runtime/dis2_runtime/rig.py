"""A rig: the TOML file of one aircraft. It says where each sensor's frames come from and what differs there.

It belongs to the aircraft and survives deploys; the bundle says everything that the rig leaves open.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dis2_edge.bundle import Policy
from dis2_edge.errors import RecipeError
from dis2_edge.files import read_toml, toml_value
from dis2_edge.geometry import RemapTable
from dis2_edge.lens import Lens
from dis2_edge.limits import HealthLimits
from dis2_edge.sensors import Fit, Sensor
from dis2_edge.settings import from_table, nearest
from dis2_edge.task import Task
from dis2_runtime.align.remaps import read_remap
from dis2_runtime.output import Output
from dis2_runtime.poses.track import PoseSettings
from dis2_runtime.sinks.geotiff import GeotiffSettings

_TABLES = ("sensors.NAME", "policy", "output", "poses", "geotiff")
SinkName = Literal["png", "overlay", "geotiff", "mcap", "telemetry"]


@dataclass(frozen=True)
class RigSensor:
    """One table `[sensors.NAME]`. What is left out stays as the bundle has it."""

    source: str = ""
    """Source URI; a relative place is taken below the rig's folder. Empty: none unless --source gives one."""
    offset_ms: float = 0.0
    """Added to every capture stamp, to bring the sensor's clock to the others'."""
    inverted: bool = False
    """Whether its scale runs the other way than in training, as of a thermal camera that shows hot as black."""
    size: tuple[int, int] | None = None
    """Native height and width in pixels."""
    to_grid: tuple[float, ...] | None = None
    """3x3 homography from native pixels to grid pixels, row by row."""
    fit: Fit | None = None
    """How a frame of another size comes to the grid."""
    lens: Lens | None = None
    """Distortion to be taken out, a table `[sensors.NAME.lens]`."""
    remap: str = ""
    """An .npz file below the rig's folder: native x and y of each grid pixel, in place of lens and homography."""
    rate_hz: float | None = None
    """Frames a second."""
    max_age_ms: float | None = None
    """Oldest frame that a tick may use."""
    pause_ms: float | None = None
    """Longest pause that the sensor takes by itself."""
    pause_every_s: float | None = None
    """Shortest time from one such pause to the next."""
    health: dict[str, Any] = field(default_factory=dict)
    """Keys of `HealthLimits` that differ, such as `dis2-edge health fit` writes them."""

    def __post_init__(self) -> None:
        if not math.isfinite(self.offset_ms):
            raise RecipeError(f"offset_ms is {self.offset_ms}", expected="a finite number")
        if self.remap and (self.lens or self.to_grid):
            raise RecipeError("remap beside lens or to_grid", expected="one of them, as remap stands for both")
        from_table(HealthLimits, self.health, where="health")


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
    """How long the last mask may be repeated when there is no new one."""
    max_skew_ms: float | None = None
    """Largest time between the captures of two frames that make one mask; 0 sets no limit."""
    silent_periods: float | None = None
    """Silence of the anchor, in its periods, after which a timer takes its place."""
    deadline_ms: float | None = None
    """Time after which a tick is answered by the last mask; 0 is a tick's period."""
    stall_ms: float | None = None
    """Time after which an engine that does not come back is given up and opened anew."""


@dataclass(frozen=True)
class Rig:
    """A whole RIG.toml."""

    sensors: dict[str, RigSensor] = field(default_factory=dict)
    """What differs, by sensor."""
    policy: RigPolicy = field(default_factory=RigPolicy)
    """What differs in the policy."""
    sinks: tuple[SinkName, ...] = ("png", "telemetry")
    """What is written: mask pictures, masks on the map, a recording, a video, telemetry rows."""
    poses: PoseSettings = field(default_factory=PoseSettings)
    """Where the aircraft flies."""
    geotiff: GeotiffSettings = field(default_factory=GeotiffSettings)
    """What the sink `geotiff` writes."""
    output: Output = field(default_factory=Output)
    """Where it is written, and how much."""
    base: Path = Path()
    """Folder that relative places of sources start from."""

    def task(self, task: Task) -> Task:
        """The bundle's `task` as it is on this aircraft; an unknown sensor is a RecipeError that names the nearest."""
        _known(self.sensors, task)
        sensors = [_sensor(sensor, self.sensors.get(sensor.name, RigSensor())) for sensor in task.sensors]
        return dataclasses.replace(task, sensors=tuple(sensors))

    def remaps(self) -> dict[str, RemapTable]:
        """The remap tables by sensor, for `Aligner`; a file that holds none is a RecipeError."""
        given = {name: self.base / sensor.remap for name, sensor in self.sensors.items() if sensor.remap}
        return {name: read_remap(path) for name, path in given.items()}

    def policy_over(self, policy: Policy, task: Task) -> Policy:
        """The bundle's `policy` as it is on this aircraft."""
        new: Policy = _changed(policy, self.policy)
        if new.anchor:
            _known([new.anchor], task)
        return new


def load(path: Path | None, overrides: Sequence[str] = ()) -> Rig:
    """Read the rig at `path`, or take an empty one, then apply overrides `table.key=value`, the last one winning."""
    table = {} if path is None else read_toml(path, RecipeError)
    for override in overrides:
        _override(table, override)
    base = Path() if path is None else path.parent
    return from_table(Rig, table, where="the rig" if path is None else str(path), base=base)


def _override(table: dict[str, Any], override: str) -> None:
    """Set one key of nested tables: `sensors.rgb.max_age_ms=300`, `policy.max_skew_ms=50`."""
    key, equals, value = override.partition("=")
    *tables, last = key.strip().split(".")
    if not equals or not last:
        example = "for example policy.max_skew_ms=50"
        raise RecipeError(f"--set {override!r}", expected="a rig's key and a value, KEY=VALUE", mend=example)
    for name in tables:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise RecipeError(f"--set {override!r}: {name} is no table", mend=f"known tables: {', '.join(_TABLES)}")
    table[last] = toml_value(value.strip())


def _known(names: Iterable[str], task: Task) -> None:
    for name in names:
        if name not in task.sensor_names:
            raise RecipeError(f"rig: unknown sensor {name!r}", mend=nearest(name, task.sensor_names))


def _sensor(sensor: Sensor, changes: RigSensor) -> Sensor:
    limits = {**dataclasses.asdict(sensor.health), **changes.health}
    health = from_table(HealthLimits, limits, where=f"rig: sensors.{sensor.name}.health")
    changed: Sensor = _changed(sensor, changes)
    return dataclasses.replace(changed, health=health)


def _changed(original: Any, changes: RigSensor | RigPolicy) -> Any:
    """`original` with those fields of `changes` that it has and that are not None; limits of health are not its."""
    fields = {entry.name for entry in dataclasses.fields(original)} - {"health"}
    given = {name: value for name, value in vars(changes).items() if name in fields and value is not None}
    return dataclasses.replace(original, **given)
