"""The judge: what a flight noted, held against what its faults must lead to. It asks the run's own counters nothing."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from dis2_edge.bundle import Policy
from dis2_edge.sensors import Sensor
from dis2_edge.task import Task
from dis2_runtime.campaign.expect import JITTER, Expected, expected, forgotten
from dis2_runtime.campaign.plan import SETTLED_S, Leg
from dis2_runtime.campaign.witness import Noted
from dis2_runtime.faults import Fault

_SAME = 1e-6


@dataclass
class Judged:
    """What came of one flight. The lists hold a line for each thing that went wrong."""

    due: int
    """Ticks that elapsed time times rate makes."""
    answered: int
    """Masks that came."""
    unanswered: int
    """Ticks without a mask; see `unanswered`."""
    crash: str = ""
    """What ended the flight before its time; empty when nothing did."""
    wrong: list[str] = field(default_factory=list)
    """Sensor states that are not what the fault must lead to."""
    delays: list[float] = field(default_factory=list)
    """From a fault's beginning to the tick that names it, in nominal periods of its sensor."""
    returns: list[int] = field(default_factory=list)
    """Ticks from a fault's end to the sensor's next use."""
    masks: dict[str, int] = field(default_factory=dict)
    """How many were fresh, held, blind."""
    latencies_ms: list[float] = field(default_factory=list)
    """Of every tick with a fresh mask."""

    @property
    def good(self) -> bool:
        """Whether nothing crashed, nothing stayed without answer and every state was right."""
        return not (self.crash or self.unanswered or self.wrong)


def judge(leg: Leg, noted: Sequence[Noted], task: Task, policy: Policy, crash: str = "") -> Judged:
    """Hold the ticks of a flight of `leg.seconds` against its faults."""
    period_s = tick_period_s(task, policy)
    found = Judged(math.floor(leg.seconds / period_s + _SAME), len(noted), unanswered(leg, noted, task, policy), crash)
    for row in noted:
        found.masks[row.mask] = found.masks.get(row.mask, 0) + 1
    found.latencies_ms = [row.latency_ms for row in noted if row.mask == "fresh"]
    for sensor in task.sensors:
        faults = [fault for fault in leg.faults.fault if fault.sensor == sensor.name]
        _judge_sensor(_Case(sensor, faults, policy, leg, period_s, task.sensors), noted, found)
    return found


def tick_period_s(task: Task, policy: Policy) -> float:
    """Time from one tick to the next when all goes well."""
    return 1 / policy.ticks_hz(task)


def unanswered(leg: Leg, noted: Sequence[Noted], task: Task, policy: Policy) -> int:
    """Ticks without a mask.

    At a fixed rate: elapsed time times rate, less what was answered. With an anchor the rhythm is its own, and a timer
    stands in after `silent_periods`: then every longer gap between two answered ticks, or at either end, is counted by
    the ticks that should have been in it.
    """
    period_s = tick_period_s(task, policy)
    times = sorted({row.time_s for row in noted})  # the same tick answered twice is one answer
    if not policy.anchor:
        return max(0, math.floor(leg.seconds / period_s + _SAME) - len(times))
    allowed = policy.silent_periods + JITTER
    ends = [-period_s, *times, leg.seconds]
    gaps = [(after - before) / period_s for before, after in itertools.pairwise(ends)]
    gaps[0] -= policy.silent_periods  # the first frame may take as long as any later one
    return sum(max(1, round(gap) - 1) for gap in gaps if gap > allowed + _SAME)


@dataclass(frozen=True)
class _Case:
    """One sensor in one flight."""

    sensor: Sensor
    faults: Sequence[Fault]
    policy: Policy
    leg: Leg
    tick_s: float
    sensors: Sequence[Sensor]

    @property
    def period_s(self) -> float:
        return self.sensor.period_ms / 1e3

    def expected(self, fault: Fault) -> Expected:
        hit = {other.sensor for other in self.leg.faults.fault if _meet(fault, other)}
        well = [other.period_ms for other in self.sensors if other.name not in {*hit, self.sensor.name}]
        witness = min(well, default=0.0) / self.sensor.period_ms
        return expected(fault, self.sensor, self.policy.return_after, witness=witness)

    def may_have_gaps(self, time_s: float) -> bool:
        """Whether so many gaps are remembered at `time_s` that the sensor is rightly intermittent."""
        past = [fault for fault in self.faults if fault.start_s <= time_s < self._forgotten_s(fault)]
        return sum(self.expected(fault).gaps for fault in past) >= self.sensor.health.gaps

    def _forgotten_s(self, fault: Fault) -> float:
        """When the gaps of `fault` are forgotten: later than `forgotten`, where later faults keep frames away."""
        later = [
            other.length_s for other in self.faults if other.start_s + other.length_s > fault.start_s + fault.length_s
        ]
        return forgotten(fault, self.sensor) + sum(later)

    def touching(self, time_s: float) -> list[Fault]:
        """The faults that are on at `time_s`, or whose time to recover is not over yet."""
        return [fault for fault in self.faults if fault.start_s <= time_s < self.over_s(fault)]

    def over_s(self, fault: Fault) -> float:
        """When `fault` and the time to recover from it are over; where frames are held up, it arrives later too."""
        held_up = (self.expected(other).back for other in self.faults if other.kind == "delayed" and other != fault)
        return fault.start_s + fault.length_s + (self.expected(fault).back + max(held_up, default=0)) * self.period_s


def _judge_sensor(case: _Case, noted: Sequence[Noted], found: Judged) -> None:
    for row in noted:
        touching = case.touching(row.time_s)
        told = _wrong(case, row, touching)
        if told:
            found.wrong.append(f"{row.time_s:.2f} s: {case.sensor.name} {told}")
    for fault in case.faults:
        _judge_fault(case, fault, noted, found)


def _wrong(case: _Case, row: Noted, touching: Sequence[Fault]) -> str:
    """What is wrong with the sensor's state at one tick; empty when nothing is, or when several faults overlap."""
    seen = row.sensors[case.sensor.name]
    if seen.state == "intermittent" and case.may_have_gaps(row.time_s):
        return ""
    if not touching:
        alarm = seen.state != "ok" and row.time_s >= SETTLED_S
        return f"is {seen.state} without a fault" if alarm else ""
    if len(touching) > 1:
        return ""
    fault, wanted = touching[0], case.expected(touching[0])
    since_s = row.time_s - fault.start_s
    if since_s >= fault.length_s or since_s < wanted.window * case.period_s:
        return ""
    if seen.used and not wanted.usable:
        return f"is used {since_s:.2f} s into {fault.kind}"
    if wanted.lasting and seen.state not in wanted.names:
        return f"is {seen.state} {since_s:.2f} s into {fault.kind}"
    return ""


def _judge_fault(case: _Case, fault: Fault, noted: Sequence[Noted], found: Judged) -> None:
    """When the fault was named, and when the sensor was used again; only of a fault that no other one touches."""
    name, wanted, end_s = case.sensor.name, case.expected(fault), fault.start_s + fault.length_s
    if any(other is not fault and _overlap(case, fault, other) for other in case.faults):
        return
    during = [row for row in noted if fault.start_s <= row.time_s < end_s]
    named = [row.time_s for row in during if row.sensors[name].state in wanted.names]
    if named and wanted.window:
        found.delays.append((named[0] - fault.start_s) / case.period_s)
    elif not wanted.lasting and fault.length_s >= wanted.window * case.period_s and not named:
        found.wrong.append(f"{end_s:.2f} s: {name} was never named {fault.kind} in {fault.length_s:g} s")
    after = [row for row in noted if row.time_s >= end_s]
    back = next((place for place, row in enumerate(after) if row.sensors[name].used), None)
    if back is not None:
        found.returns.append(back)
    within_s = wanted.back * case.period_s
    in_time = back is not None and after[back].time_s - end_s <= within_s + 1.5 * case.tick_s
    if not in_time and case.leg.seconds - end_s > within_s:
        found.wrong.append(f"{end_s:.2f} s: {name} was not used again in time after {fault.kind}")


def _overlap(case: _Case, one: Fault, other: Fault) -> bool:
    return one.start_s < case.over_s(other) and other.start_s < case.over_s(one)


def _meet(one: Fault, other: Fault) -> bool:
    """Whether two faults are on at the same time."""
    return one.start_s < other.start_s + other.length_s and other.start_s < one.start_s + one.length_s
