"""The watchdog: in real time no tick waits longer than its deadline, however slow, stuck or dead the engine is."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
from scripted import Memory, ScriptedSource, steady

from dis2_edge.bundle import Bundle, Policy
from dis2_edge.errors import EngineError
from dis2_runtime.clock import RunClock
from dis2_runtime.engine import Answer
from dis2_runtime.feed import LiveFeed
from dis2_runtime.guard import EngineGuard, Rung
from dis2_runtime.stream import Limits, Stream

RATE_HZ = 20.0
PERIOD_MS = 1e3 / RATE_HZ


class Slow:
    """An engine that needs as long as `needs_s(call)` says."""

    scenarios = ("rgb+ndsm", "rgb", "ndsm")

    def __init__(self, needs_s) -> None:
        self.needs_s, self.calls = needs_s, 0

    def __enter__(self):
        return self

    def __exit__(self, *rest) -> None:
        pass

    def infer(self, scenario, frames, into=None) -> Answer:
        self.calls += 1
        call = self.calls
        time.sleep(self.needs_s(call))
        into.mask[:] = call % 2
        into.confidence[:] = 200
        return into


def fly(bundle: Bundle, make, seconds: float, clock: RunClock | None = None, **policy):
    """Outcomes of a live run at 20 Hz over steady sensors; `make` opens an engine."""
    task, memory = bundle.manifest.task, Memory()
    sensors = tuple(dataclasses.replace(sensor, rate_hz=RATE_HZ) for sensor in task.sensors)
    task = dataclasses.replace(task, sensors=sensors)
    ending = threading.Event()
    feed = LiveFeed({s.name: ScriptedSource(steady(s, task.grid)) for s in sensors}, ending, clock)
    manifest = dataclasses.replace(bundle.manifest, statistics=())
    with EngineGuard([Rung("int8", make)]) as guard:
        stream = Stream(manifest, task, Policy(rate_hz=RATE_HZ, hold_ms=400, **policy), guard, [memory])
        stream.run(feed, Limits(seconds=seconds), ending)
        feed.stop()
    assert [outcome.tick.number for outcome in memory.outcomes] == list(range(round(seconds * RATE_HZ)))
    return memory.outcomes


def test_fast_engine_answers_every_tick_afresh(two: Bundle) -> None:
    outcomes = fly(two, lambda: Slow(lambda call: 0.002), 1.0)
    assert [outcome.state for outcome in outcomes[1:]].count("fresh") >= len(outcomes) // 2
    assert min(outcome.latency_ms for outcome in outcomes if outcome.state == "fresh") < PERIOD_MS / 2


def test_engine_of_one_and_a_half_periods_runs_at_every_second_tick_and_recovers(two: Bundle) -> None:
    slow = Slow(lambda call: 0.075 if 6 <= call < 14 else 0.005)
    outcomes = fly(two, lambda: slow, 2.5)
    late = [outcome for outcome in outcomes if outcome.why.startswith("late")]
    assert len(late) >= 6
    assert all(outcome.state == "held" and outcome.scenario == "rgb+ndsm" for outcome in late)
    ages_ms = sorted(outcome.mask_age_ms for outcome in late)
    assert ages_ms[len(ages_ms) // 2] < 4 * PERIOD_MS  # masks still come, late
    latencies_ms = sorted(outcome.latency_ms for outcome in outcomes)
    assert latencies_ms[len(latencies_ms) // 2] < 1.5 * PERIOD_MS
    assert [outcome.state for outcome in outcomes[-12:]].count("fresh") >= 6


def test_mask_that_comes_late_is_the_next_one_held(two: Bundle) -> None:
    outcomes = fly(two, lambda: Slow(lambda call: 0.07 if call == 5 else 0.002), 0.7)
    held = [outcome for outcome in outcomes if outcome.state == "held"]
    assert held
    assert np.unique(held[-1].mask).size == 1


def test_longer_deadline_takes_a_slow_mask_as_fresh(two: Bundle) -> None:
    outcomes = fly(two, lambda: Slow(lambda call: 0.06), 1.0, deadline_ms=200)
    fresh = [outcome for outcome in outcomes if outcome.state == "fresh"]
    assert len(fresh) >= 4
    assert min(outcome.latency_ms for outcome in fresh) >= 60


def first_hangs(opened: list[Slow], dead: threading.Event, others_open_s: float = 0.0) -> Callable[[], Slow]:
    """Opens engines into `opened`; the first hangs in its fifth call until `dead`, the others take time to open."""

    def make() -> Slow:
        opened.append(Slow(lambda call: 0.001))
        if len(opened) == 1:
            opened[0].needs_s = lambda call: dead.wait(20) and 0 if call == 4 else 0.001
        else:
            time.sleep(others_open_s)
        return opened[-1]

    return make


def test_engine_that_never_comes_back_is_opened_anew(two: Bundle) -> None:
    opened: list[Slow] = []
    dead = threading.Event()

    try:
        outcomes = fly(two, first_hangs(opened, dead), 1.5, stall_ms=300)
    finally:
        dead.set()
    assert len(opened) == 2
    states = [outcome.state for outcome in outcomes]
    assert "held" in states
    assert states[-8:].count("fresh") >= 4
    assert "reloaded after it stalled" in outcomes[-1].engine


def test_engine_that_opens_more_slowly_than_it_may_stall_is_given_more_time_each_time(two: Bundle) -> None:
    opened: list[Slow] = []
    dead = threading.Event()

    try:
        outcomes = fly(two, first_hangs(opened, dead, others_open_s=0.5), 3.0, stall_ms=200)
    finally:
        dead.set()
    assert len(opened) <= 4
    assert [outcome.state for outcome in outcomes][-8:].count("fresh") >= 4


def test_machine_that_slept_gives_up_no_engine_and_answers_what_it_missed(two: Bundle) -> None:
    class Slept(RunClock):
        """A clock that is 20 s on, all at once, in the fifth inference."""

        slept_ns = 0

        def now_ns(self) -> int:
            return super().now_ns() + self.slept_ns

    clock, opened = Slept(), []

    class Sleepy(Slow):
        def infer(self, scenario, frames, into=None):
            if self.calls == 4:
                clock.slept_ns = 20 * 10**9
            return super().infer(scenario, frames, into)

    def make() -> Slow:
        opened.append(Sleepy(lambda call: 0.1 if call == 5 else 0.001))
        return opened[-1]

    outcomes = fly(two, make, 21.5, clock)
    assert len(opened) == 1
    assert outcomes[-1].engine == "int8"
    assert sum(outcome.why.startswith("late") for outcome in outcomes) >= 390


def test_engine_that_dies_leaves_every_tick_answered_and_goes_blind(two: Bundle) -> None:
    class Dead(Slow):
        def infer(self, scenario, frames, into=None):
            if self.calls >= 3:
                raise EngineError("device lost")
            return super().infer(scenario, frames, into)

    dead = Dead(lambda call: 0.001)
    outcomes = fly(two, lambda: dead, 1.2)
    assert outcomes[-1].state == "blind"
    assert "device lost" in outcomes[-1].why
    assert (outcomes[-1].mask == two.manifest.task.ignore).all()


@pytest.mark.parametrize("needs_s", [0.0, 0.12])
def test_end_of_a_run_waits_for_no_engine(two: Bundle, needs_s) -> None:
    stop, task, memory = threading.Event(), two.manifest.task, Memory()
    feed = LiveFeed({s.name: ScriptedSource(steady(s, task.grid)) for s in task.sensors}, stop)
    with EngineGuard([Rung("int8", lambda: Slow(lambda call: needs_s))]) as guard:
        stream = Stream(two.manifest, task, Policy(rate_hz=RATE_HZ), guard, [memory])
        threading.Timer(0.33, stop.set).start()
        begin = time.monotonic()
        assert stream.run(feed, Limits(), stop) == "request"
        assert time.monotonic() - begin < 0.33 + 1.0
        feed.stop()
    assert [outcome.tick.number for outcome in memory.outcomes] == list(range(len(memory.outcomes)))
