"""Fly labelled pictures through faults: what each kind of fault of each sensor does to accuracy, tick by tick."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dis2_edge.bundle import Bundle
from dis2_edge.engine_names import Wanted
from dis2_edge.labelled import Images, Labelled
from dis2_edge.manifest import Precision
from dis2_edge.percentiles import Spread
from dis2_edge.report.schema import PHASES
from dis2_edge.report.streams import stages_of
from dis2_edge.report.through import Phase, Span, Through
from dis2_edge.scores import confusion
from dis2_edge.sensors import IDENTITY, Sensor
from dis2_edge.task import Task
from dis2_edge.terminal import progress
from dis2_runtime.engines import rungs
from dis2_runtime.faults import KINDS, Fault, FaultedSource, FaultPlan
from dis2_runtime.feed import SteppedFeed
from dis2_runtime.frames import Delivery, Frame
from dis2_runtime.guard import EngineGuard
from dis2_runtime.outcome import Outcome
from dis2_runtime.stream import Limits, Stream

MOST_IMAGES = 24
"""Pictures that are flown, spread over the split."""
SHOWN_PERIODS = 4
"""Periods of the slowest sensor for which each picture is shown."""
_NOISE = 0.05
_TOUCH_NS = 1000
"""A frame or tick this close before a change of picture belongs to the next one: times are rounded."""


def fly_through(
    bundle: Bundle,
    images: Images,
    precision: Precision,
    threads: int,
    kinds: Sequence[str] = (),
    engine: Wanted = "auto",
) -> tuple[tuple[Through, ...], dict[str, Spread]]:
    """Every kind of fault (or `kinds`) on every sensor in turn, and the times of the stages over all fresh ticks."""
    task = as_shown(bundle.manifest.task)
    step = max(1, -(-len(images.names) // MOST_IMAGES))
    show = Show(task, [images.read(name) for name in images.names[::step]])
    faults = [
        (sensor, kind)
        for sensor in task.sensors
        for kind in kinds or KINDS
        if kind != "nan" or sensor.dtype == "float32"
    ]
    flights, rows = [], []
    with EngineGuard(rungs(bundle, precision, threads, engine)) as guard:
        for sensor, kind in progress(faults, f"{bundle.manifest.network} {precision}: fly through faults"):
            tally = _fly(bundle, task, show, Fault(sensor.name, _kind(kind), show.seconds, show.seconds), guard)
            flights.append(tally.through(sensor.name, kind))
            rows += tally.times
    return tuple(flights), stages_of(rows)


def as_shown(task: Task) -> Task:
    """`task` with sensors whose frames are on the grid already, as labelled pictures are."""
    here: dict[str, Any] = {"size": task.grid, "to_grid": IDENTITY, "fit": "resize", "lens": None}
    sensors = [dataclasses.replace(sensor, **here) for sensor in task.sensors]
    return dataclasses.replace(task, sensors=tuple(sensors))


class Show:
    """Which picture is shown when: each for some periods, one after the other, and again from the first."""

    def __init__(self, task: Task, images: Sequence[Labelled]) -> None:
        self.images = tuple(images)
        self._hold_ns = round(SHOWN_PERIODS * max(sensor.period_ms for sensor in task.sensors) * 1e6)

    @property
    def seconds(self) -> float:
        """How long all pictures take."""
        return len(self.images) * self._hold_ns / 1e9

    def at(self, time_ns: int) -> Labelled:
        """The picture that is shown at that time of the run."""
        return self.images[(time_ns + _TOUCH_NS) // self._hold_ns % len(self.images)]


class ShownSource:
    """What one sensor sees of a show, at its own rate, with a little noise: no real sensor repeats a picture."""

    def __init__(self, sensor: Sensor, show: Show) -> None:
        self._sensor, self._show = sensor, show
        self._random = np.random.default_rng(0)
        self._number = 0

    def open(self) -> None:
        """Nothing to open."""

    def next(self) -> Delivery:
        """The next look; it arrives when it was captured."""
        number, self._number = self._number, self._number + 1
        time_ns = round(number * self._sensor.period_ms * 1e6)
        pixels = self._noisy(self._show.at(time_ns).frames[self._sensor.name])
        return Delivery(time_ns, Frame(self._sensor.name, pixels, time_ns, number))

    def close(self) -> None:
        """Nothing to close."""

    def _noisy(self, pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The last bit of one value in twenty turned round; of floats a thousandth of the sensor's spread added."""
        touched = self._random.random(pixels.shape, np.float32) < _NOISE
        if pixels.dtype.kind == "u":
            return np.asarray(np.bitwise_xor(pixels, touched.astype(pixels.dtype)))
        return np.asarray(pixels + touched * (1e-3 * np.array(self._sensor.std or (1.0,))), pixels.dtype)


class Tally:
    """A sink that counts every tick's mask against the truth of that moment, by phase of the fault."""

    def __init__(self, show: Show, fault: Fault, classes: int) -> None:
        self._show, self._fault, self._classes = show, fault, classes
        self._counts = {phase: np.zeros((classes, classes + 1), np.int64) for phase in PHASES}
        self._states = {phase: {"fresh": 0, "held": 0, "blind": 0} for phase in PHASES}
        self._spans: list[Span] = []
        self.times: list[dict[str, Any]] = []
        """State, stages and latency of each tick, as telemetry has them."""

    def write(self, outcome: Outcome) -> None:
        """Count one tick."""
        time_s = outcome.tick.time_ns / 1e9
        phase = PHASES[(time_s >= self._fault.start_s) + (time_s >= self._fault.start_s + self._fault.length_s)]
        truth = self._show.at(outcome.tick.time_ns).truth
        self._counts[phase] += confusion(truth, outcome.mask, self._classes)
        self._states[phase][outcome.state] += 1
        if not self._spans or (self._spans[-1].scenario, self._spans[-1].state) != (outcome.scenario, outcome.state):
            self._spans.append(Span(round(time_s, 4), outcome.scenario, outcome.state))
        stages_ms = {name: value for name, value in outcome.stages_ms.items() if name != "sink"}  # this one is no sink
        self.times.append({"state": outcome.state, "stages_ms": stages_ms, "latency_ms": outcome.latency_ms})

    def close(self) -> None:
        """Nothing to finish."""

    def through(self, sensor: str, kind: str) -> Through:
        """What was counted."""
        start_s, length_s = self._fault.start_s, self._fault.length_s
        before, during, after = (self._phase(phase) for phase in PHASES)
        end_s = start_s + length_s
        return Through(sensor, kind, start_s, end_s, end_s + length_s, before, during, after, tuple(self._spans))

    def _phase(self, phase: str) -> Phase:
        table = tuple(tuple(int(cell) for cell in row) for row in self._counts[phase])
        return Phase(table, **self._states[phase])


def _fly(bundle: Bundle, task: Task, show: Show, fault: Fault, guard: EngineGuard) -> Tally:
    plan = FaultPlan((fault,))
    sources = {sensor.name: FaultedSource(ShownSource(sensor, show), sensor, plan) for sensor in task.sensors}
    tally = Tally(show, fault, len(task.classes))
    stream = Stream(bundle.manifest, task, bundle.manifest.policy, guard, [tally])
    feed = SteppedFeed(sources)
    try:
        stream.run(feed, Limits(seconds=3 * show.seconds), threading.Event())
    finally:
        feed.stop()
    return tally


def _kind(kind: str) -> Any:
    return kind
