"""From which silence a sensor should be off: how soon a tick tells, against what single lost frames would cost.

    python -m benchmarks.health_silence

Two sensors of 10 Hz, arrivals with 10 % jitter and 4 to 12 ms lag, the first is the anchor; only times, no pixels.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator

import numpy as np

from dis2_edge.bundle import Policy
from dis2_edge.sensors import Sensor
from dis2_edge.task import Task
from dis2_edge.terminal import progress, table
from dis2_runtime.frames import Frame, Heard
from dis2_runtime.health.judge import Judge
from dis2_runtime.sync import Sync
from dis2_runtime.ticks import Ticker

SENSORS = (Sensor("rgb", "optical", 3, "uint8", "DN", 0, 255), Sensor("heat", "thermal", 1, "uint16", "DN", 0, 60000))
PERIOD_S, JITTER, LAG_S = 0.1, 0.1, (0.004, 0.012)
LIMITS = (1.4, 1.5, 1.75, 2.0, 2.25)
LOST = (0.0, 0.002, 0.01, 0.03)
FLIGHTS, SECONDS, SETTLED_S = 25, 30.0, 0.5
PIXELS = np.zeros((1, 1, 1), np.uint8)


def main() -> int:
    """Print a row for each limit."""
    rows = []
    for limit in progress(LIMITS, "limits"):
        random = np.random.default_rng(7)
        row = [f"{limit:g}"]
        for lost in LOST:
            used = [len(names) for _ in range(FLIGHTS) for _, names, _ in _ticks(limit, random, lost)]
            row.append(f"{1 - float(np.mean(used)) / len(SENSORS):.2%}")
        for which in range(len(SENSORS)):
            delays = [_delay(limit, random, which) for _ in range(4 * FLIGHTS)]
            row.append(f"{np.median(delays):.1f}, {max(delays):.1f}")
        rows.append(row)
    heads = [f"out at {lost:.1%} lost" for lost in LOST]
    told = [f"{name} off told after (median, most)" for name in ("anchor", "other")]
    table("limit in periods: sensors left out of ticks, periods to the tick that tells", ["limit", *heads, *told], rows)
    return 0


def _delay(limit: float, random: np.random.Generator, which: int) -> float:
    """Periods from a random moment, from which nothing comes, to the tick that shows off."""
    off_s = 2 + random.uniform(0, 1)
    for time_s, _, states in _ticks(limit, random, 0.0, 4.0, {which: off_s}):
        if time_s >= off_s and states[which] == "off":
            return (time_s - off_s) / PERIOD_S
    return float("inf")


def _ticks(
    limit: float,
    random: np.random.Generator,
    lost: float,
    seconds: float = SECONDS,
    ends: dict[int, float] | None = None,
) -> Iterator[tuple[float, list[str], list[str]]]:
    """Time, sensors used and states of every tick after the first moments."""
    sensors = tuple(
        dataclasses.replace(sensor, rate_hz=1 / PERIOD_S, health=dataclasses.replace(sensor.health, off_periods=limit))
        for sensor in SENSORS
    )
    task = Task(sensors, ("ground", "water"), ("#000000", "#0000ff"), (8, 8))
    policy = Policy(anchor=sensors[0].name)
    ticker, sync, judges = Ticker(task, policy), Sync(task, policy), {s.name: Judge(s) for s in sensors}
    arrivals = sorted(
        (heard.at_ns, place, heard)
        for place in range(len(sensors))
        for heard in _arrivals(random, lost, (ends or {}).get(place, seconds))
    )
    for at_ns, place, heard in arrivals:
        for tick in ticker.fallen_due(at_ns - 1):
            yield from _view(tick.time_ns, judges, sync)
        judges[sensors[place].name].hear(heard)
        sync.receive(Frame(sensors[place].name, PIXELS, heard.time_ns, heard.sequence), at_ns, good=True)
        if place == 0:
            ticker.hear(at_ns)
    for tick in ticker.fallen_due(round(seconds * 1e9)):
        yield from _view(tick.time_ns, judges, sync)


def _view(time_ns: int, judges: dict[str, Judge], sync: Sync) -> Iterator[tuple[float, list[str], list[str]]]:
    health = {name: judge.health(time_ns) for name, judge in judges.items()}
    chosen = sync.choose(time_ns, health)
    if time_ns >= SETTLED_S * 1e9:
        yield time_ns / 1e9, list(chosen.frames), [state.state for state in health.values()]


def _arrivals(random: np.random.Generator, lost: float, end_s: float) -> Iterator[Heard]:
    phase = random.uniform(0, 1)
    for number in range(round(end_s / PERIOD_S) + 2):
        time_s = max(0.0, (number + phase + random.uniform(-JITTER, JITTER)) * PERIOD_S)
        at_s = time_s + random.uniform(*LAG_S)
        if at_s < end_s and random.random() >= lost:
            yield Heard(round(at_s * 1e9), round(time_s * 1e9), number)


if __name__ == "__main__":
    sys.exit(main())
