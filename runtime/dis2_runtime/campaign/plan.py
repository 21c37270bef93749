"""The list of flights: each kind of fault on each sensor and on all of them, in three lengths, then random storms."""

from __future__ import annotations

import typing
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dis2_edge.errors import UserError
from dis2_edge.sensors import Sensor
from dis2_edge.settings import nearest
from dis2_runtime.campaign.expect import expected
from dis2_runtime.faults import KINDS, Fault, FaultPlan

LEAD_S = 3.0
"""Time of a flight before its fault."""
SETTLED_S = 2.0
"""From when on a sensor without a fault has to be well."""
LENGTHS_S = (0.5, 2.0, 8.0)
STORM_S = 20.0
"""Length of a storm, its quiet end included."""
STORM_FAULTS = 8
ALL, STORM = "all", "storm"


@dataclass(frozen=True)
class Leg:
    """One flight of the campaign."""

    kind: str
    """Kind of fault, or `storm`."""
    target: str
    """Name of the sensor that is hit, or `all`."""
    length_s: float
    """How long the fault lasts."""
    seconds: float
    """How long the flight lasts."""
    faults: FaultPlan
    """What is played."""

    @property
    def name(self) -> str:
        """For people."""
        return (
            f"storm {self.faults.seed}" if self.kind == STORM else f"{self.kind} of {self.target}, {self.length_s:g} s"
        )


def plan_legs(
    sensors: Sequence[Sensor],
    return_after: int,
    *,
    kinds: Sequence[str] = (),
    lengths_s: Sequence[float] = LENGTHS_S,
    storms: int = 10,
    seed: int = 0,
) -> list[Leg]:
    """Every flight over `sensors`; `kinds` empty takes all. NaN hits float sensors only, as others know none."""
    for kind in kinds:
        if kind not in KINDS:
            raise UserError(f"unknown kind of fault {kind!r}", mend=nearest(kind, KINDS))
    targets: list[tuple[str, tuple[Sensor, ...]]] = [(sensor.name, (sensor,)) for sensor in sensors]
    if len(sensors) > 1:
        targets.append((ALL, tuple(sensors)))
    legs = [
        _leg(kind, target, hit, length_s, return_after, seed)
        for kind in kinds or KINDS
        for target, sensors_hit in targets
        if (hit := tuple(sensor for sensor in sensors_hit if kind != "nan" or sensor.dtype == "float32"))
        for length_s in lengths_s
    ]
    return [*legs, *(_storm(sensors, return_after, seed + number) for number in range(storms))]


def _leg(kind: str, target: str, hit: Sequence[Sensor], length_s: float, return_after: int, seed: int) -> Leg:
    """A fault that begins anywhere in its sensor's rhythm."""
    random = np.random.default_rng([seed, zlib.crc32(f"{kind} {target} {length_s}".encode())])
    start_s = LEAD_S + random.random() * max(sensor.period_ms for sensor in hit) / 1e3
    faults = tuple(_fault(sensor, kind, round(start_s, 4), length_s) for sensor in hit)
    return Leg(kind, target, length_s, start_s + length_s + _rest_s(faults, hit, return_after), FaultPlan(faults, seed))


def _fault(sensor: Sensor, kind: str, start_s: float, length_s: float) -> Fault:
    known = typing.cast(typing.Any, kind)
    return Fault(sensor.name, known, start_s, length_s)


def _rest_s(faults: Sequence[Fault], sensors: Sequence[Sensor], return_after: int) -> float:
    """Time after the faults in which every sensor must be back, and a second to see that it stays."""
    by_name = {sensor.name: sensor for sensor in sensors}
    back_ms = [
        expected(fault, by_name[fault.sensor], return_after).back * by_name[fault.sensor].period_ms for fault in faults
    ]
    return 1.0 + max(back_ms) / 1e3


def _storm(sensors: Sequence[Sensor], return_after: int, seed: int) -> Leg:
    """Faults of random kind, sensor, beginning and length; they may overlap, and the end of the flight is quiet."""
    random = np.random.default_rng(seed)
    kinds = [kind for kind in KINDS if kind != "nan"]
    faults = []
    for _ in range(STORM_FAULTS):
        sensor = sensors[int(random.integers(len(sensors)))]
        own = [*kinds, "nan"] if sensor.dtype == "float32" else kinds
        start_s, length_s = random.uniform(LEAD_S, 0.7 * STORM_S), random.uniform(0.2, 0.2 * STORM_S)
        faults.append(_fault(sensor, own[int(random.integers(len(own)))], round(start_s, 3), round(length_s, 3)))
    end_s = max(fault.start_s + fault.length_s for fault in faults)
    seconds = max(STORM_S, end_s + _rest_s(faults, sensors, return_after))
    return Leg(STORM, ALL, end_s - LEAD_S, seconds, FaultPlan(tuple(faults), seed))
