"""Sources and runs for tests: frames by script, a stream in simulated time, its outcomes kept in memory."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator

import numpy as np
from tiny_bundle import ground

from dis2_edge.bundle import Bundle, Policy
from dis2_edge.sensors import Sensor
from dis2_edge.task import Task
from dis2_runtime.engine import Engine
from dis2_runtime.engines import open_engine
from dis2_runtime.faults import Fault, FaultedSource, FaultPlan
from dis2_runtime.feed import SteppedFeed
from dis2_runtime.frames import Delivery, Frame
from dis2_runtime.guard import EngineGuard, Rung
from dis2_runtime.outcome import Outcome
from dis2_runtime.stream import Limits, Stream


class ScriptedSource:
    """Gives prepared deliveries; an exception among them is raised in its turn."""

    def __init__(self, script: Iterator[Delivery | Exception]) -> None:
        self._script = script
        self.closed = False

    def open(self) -> None:
        self.closed = False

    def next(self) -> Delivery | None:
        step = next(self._script, None)
        if isinstance(step, Exception):
            raise step
        return step

    def close(self) -> None:
        self.closed = True


def steady(sensor: Sensor, grid: tuple[int, int], count: int = 10**6, seed: int = 0) -> Iterator[Delivery]:
    """Good frames, one a period, unlike each other."""
    random = np.random.default_rng(seed)
    for number in range(count):
        time_ns = round(number * 1e9 / sensor.rate_hz)
        yield Delivery(time_ns, Frame(sensor.name, ground(sensor, grid, random), time_ns, number))


class Memory:
    """A sink that keeps every outcome, with a copy of its mask."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    def write(self, outcome: Outcome) -> None:
        self.outcomes.append(dataclasses.replace(outcome, mask=outcome.mask.copy()))

    def close(self) -> None:
        pass


def flown(
    bundle: Bundle,
    seconds: float,
    faults: list[Fault] = (),
    *,
    policy: Policy | None = None,
    task: Task | None = None,
    engine: Engine | None = None,
    sources: dict[str, ScriptedSource] | None = None,
) -> list[Outcome]:
    """The outcomes of a run in simulated time over steady sensors that suffer `faults`."""
    task = task or bundle.manifest.task
    made = {
        sensor.name: FaultedSource(ScriptedSource(steady(sensor, task.grid)), sensor, FaultPlan(tuple(faults)))
        for sensor in task.sensors
    }
    memory = Memory()
    with EngineGuard([Rung("int8", lambda: engine or open_engine(bundle, threads=1))]) as guard:
        stream = Stream(bundle.manifest, task, policy or bundle.manifest.policy, guard, [memory])
        stream.run(SteppedFeed({**made, **(sources or {})}), Limits(seconds=seconds), threading.Event())
    return memory.outcomes
