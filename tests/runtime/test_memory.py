"""In steady state a tick allocates nothing of a frame's size, not even for a moment."""

from __future__ import annotations

import dataclasses
import threading
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from scripted import ScriptedSource, steady
from tiny_bundle import NDSM, RGB, make_bundle, task_of

from dis2_runtime.engine import Answer
from dis2_runtime.feed import SteppedFeed
from dis2_runtime.frames import Delivery, Frame
from dis2_runtime.guard import EngineGuard, Rung
from dis2_runtime.sinks import open_sinks
from dis2_runtime.sinks.outlets import Outlets
from dis2_runtime.stream import Limits, Stream

GRID = (512, 512)
WARM = 12
"""Ticks until everything stands."""


class Still:
    """An engine that allocates nothing."""

    scenarios = ("rgb+ndsm", "rgb", "ndsm")

    def __enter__(self):
        return self

    def __exit__(self, *rest) -> None:
        pass

    def infer(self, scenario, frames, into=None) -> Answer:
        into.mask[: GRID[0] // 2] = 1
        into.confidence[:] = 200
        return into


class Peaks:
    """A sink that notes how much memory was taken, for a moment, since the tick before."""

    def __init__(self) -> None:
        self.bytes: list[int] = []

    def write(self, outcome) -> None:
        held, peak = tracemalloc.get_traced_memory()
        self.bytes.append(peak - held)
        tracemalloc.reset_peak()

    def close(self) -> None:
        pass


def made(sensor, size) -> Iterator[Delivery]:
    """Frames that exist before the run: five of them by turns."""
    frames = [delivery.frame for delivery in steady(sensor, size, 5)]
    for number in range(40):
        time_ns = round(number * 1e9 / sensor.rate_hz)
        yield Delivery(time_ns, Frame(sensor.name, frames[number % 5].pixels, time_ns, number))


@pytest.mark.parametrize("size", [GRID, (600, 800)], ids=["on the grid", "resized"])
def test_steady_ticks_allocate_no_frames(tmp_path, size) -> None:
    task = task_of(
        dataclasses.replace(RGB, rate_hz=10, size=size), dataclasses.replace(NDSM, rate_hz=10, size=size), grid=GRID
    )
    bundle, peaks = make_bundle(tmp_path / "bundle", task), Peaks()
    sources = {sensor.name: ScriptedSource(made(sensor, size)) for sensor in task.sensors}
    outlets = Outlets(open_sinks(["telemetry"], tmp_path, task), task, print, lambda: "", live=False)
    tracemalloc.start()
    try:
        with EngineGuard([Rung("int8", Still)]) as guard:
            sinks = [*outlets.sinks, peaks]
            stream = Stream(bundle.manifest, task, bundle.manifest.policy, guard, sinks)
            stream.run(SteppedFeed(sources), Limits(ticks=36), threading.Event())
    finally:
        tracemalloc.stop()
        outlets.close()
    assert len(peaks.bytes) == 36
    assert max(peaks.bytes[WARM:]) < np.zeros(GRID, np.uint8).nbytes  # the smallest thing that has a frame's size
