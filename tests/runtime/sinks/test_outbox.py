"""Outboxes: a sink may be slow, hang, fail or be full; the stream never waits and every outcome is accounted for."""

from __future__ import annotations

import dataclasses
import threading
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from outcomes import outcome_of
from tiny_bundle import NDSM, RGB, task_of

from dis2_edge.errors import StorageError
from dis2_runtime.sinks import Wants
from dis2_runtime.sinks.guarded import Guarded
from dis2_runtime.sinks.outbox import FAREWELL_S, MASKS, ROWS, Outbox, close_all
from dis2_runtime.sinks.outlets import Outlets

TASK = task_of(RGB, NDSM)


class Sieve:
    """Keeps what it is given; fails on the ticks of `bad`, waits for `gate` before each write."""

    def __init__(self, bad=(), gate: threading.Event | None = None, wants: Wants | None = None) -> None:
        self.kept, self.bad, self.gate, self.closed = [], set(bad), gate, False
        if wants:
            self.wants = wants

    def write(self, outcome) -> None:
        if self.gate:
            self.gate.wait()
        if outcome.tick.number in self.bad:
            raise StorageError(f"no space for {outcome.tick.number}")
        arrays = {"mask": outcome.mask.copy(), "frames": {n: f.copy() for n, f in outcome.frames.items()}}
        self.kept.append(dataclasses.replace(outcome, **arrays))

    def close(self) -> None:
        self.closed = True


def numbers(sink: Sieve) -> list[int]:
    return [outcome.tick.number for outcome in sink.kept]


def test_outcomes_arrive_in_order_unharmed_by_what_the_stream_writes_into_its_buffers_afterwards() -> None:
    sink = Sieve(wants=Wants(confidence=False, frames=("rgb", "ndsm")))
    outbox, buffer, frame = Outbox("x", sink, TASK), np.zeros(TASK.grid, np.uint8), np.zeros((*TASK.grid, 1), "f4")
    for number in range(4):
        buffer[:], frame[:] = number, number
        outbox.write(dataclasses.replace(outcome_of(TASK, number), mask=buffer, frames={"ndsm": frame}))
    buffer[:], frame[:] = 99, 99
    outbox.close()
    assert numbers(sink) == [0, 1, 2, 3]
    assert [kept.mask.max() for kept in sink.kept] == [0, 1, 2, 3]
    assert [kept.frames["ndsm"].max() for kept in sink.kept] == [0, 1, 2, 3]
    assert all(kept.confidence_map is None for kept in sink.kept)
    assert sink.closed


@pytest.mark.parametrize(
    ("wants", "count"), [(Wants(), MASKS), (Wants(False, False), ROWS), (Wants(frames=("rgb",)), 4)]
)
def test_hanging_sink_delays_nothing_and_what_it_never_took_is_counted(wants: Wants, count: int) -> None:
    gate, told = threading.Event(), []
    sink = Sieve(gate=gate, wants=wants)
    outbox = Outbox("x", sink, TASK, told.append)
    ticks = [outcome_of(TASK, number) for number in range(count + 10)]
    try:
        took_s = []
        for outcome in ticks:
            begin = time.perf_counter()
            outbox.write(outcome)
            took_s.append(time.perf_counter() - begin)
        assert np.median(took_s) < 1e-3
        begin = time.monotonic()
        outbox.close()
        assert FAREWELL_S <= time.monotonic() - begin < FAREWELL_S + 0.3
        table = outbox.tally.table()
        assert (table["written"], table["dropped"], table["failed"]) == (0, count + 10, 0)
        assert table["reason"] == f"it is slow: {count} outcomes were waiting for it"
        assert told == [f"sink x loses output: {table['reason']}"]
    finally:
        gate.set()


def test_many_hanging_sinks_together_take_the_farewell_of_one() -> None:
    gate = threading.Event()
    boxes = [Outbox(f"{n}", Sieve(gate=gate), TASK) for n in range(5)]
    try:
        for box in boxes:
            box.write(outcome_of(TASK, 0))
        begin = time.monotonic()
        close_all(boxes)
        assert time.monotonic() - begin < FAREWELL_S + 0.3
        assert [box.tally.table()["dropped"] for box in boxes] == [1] * 5
    finally:
        gate.set()


def test_sink_that_hangs_in_its_last_sync_with_nothing_waiting_has_failed() -> None:
    gate = threading.Event()
    sink = Sieve()
    sink.close = gate.wait
    outbox = Outbox("x", sink, TASK)
    outbox.write(outcome_of(TASK, 0))
    try:
        outbox.close()
        table = outbox.tally.table()
        assert (table["written"], table["dropped"], table["failed"]) == (1, 0, 1)
        assert table["reason"] == f"it did not finish within {FAREWELL_S} s at the end"
    finally:
        gate.set()


def test_sink_that_is_slow_for_a_while_takes_the_later_ticks() -> None:
    gate, sink = threading.Event(), None
    sink = Sieve(gate=gate)
    outbox = Outbox("x", sink, TASK)
    for number in range(MASKS + 5):
        outbox.write(outcome_of(TASK, number))
    gate.set()
    deadline = time.monotonic() + 5
    while len(sink.kept) < MASKS and time.monotonic() < deadline:
        time.sleep(0.005)
    outbox.write(outcome_of(TASK, 100))
    outbox.close()
    assert numbers(sink) == [*range(MASKS), 100]
    assert outbox.tally.dropped == 5


@given(st.sets(st.integers(0, 60)))
def test_every_outcome_is_written_dropped_or_failed_and_failures_pause_longer_and_longer(bad) -> None:
    sink, told = Sieve(bad), []
    outlets = Outlets({"x": sink}, TASK, told.append, lambda: "", live=False)
    guard = outlets.sinks[0]
    for number in range(61):
        guard.write(outcome_of(TASK, number, rate_hz=1))
    outlets.close()
    table = outlets.table()["x"]
    assert table["written"] == len(sink.kept)
    assert table["written"] + table["dropped"] + table["failed"] == 61
    assert not bad & set(numbers(sink))
    assert len(told) == bool(table["failed"])
    if bad:
        assert table["reason"] == f"no space for {min(bad)}"
        assert 61 - len(sink.kept) <= 31 * len(bad)


def test_pauses_double_up_to_half_a_minute_and_end_with_the_first_success() -> None:
    sink = Sieve(range(1000))
    guard = Guarded("x", sink)
    tried = []
    for number in range(1000):
        before = guard.tally.failed
        guard.write(outcome_of(TASK, number))
        if guard.tally.failed > before:
            tried.append(number)
    assert tried[:7] == [0, 5, 15, 35, 75, 155, 315]
    assert np.diff(tried)[7:].tolist() == [300] * len(np.diff(tried)[7:])
    sink.bad = {1300}
    for number in range(1000, 1310):
        guard.write(outcome_of(TASK, number))
    assert [n for n in range(1300, 1310) if n in numbers(sink)] == [1305, 1306, 1307, 1308, 1309]


def test_foreign_errors_of_write_sync_and_close_are_counted_and_never_leave() -> None:
    class Broken:
        def write(self, outcome) -> None:
            raise ZeroDivisionError("of all things")

        def sync(self) -> None:
            raise OSError(5, "Input/output error")

        close = sync

    told = []
    outbox = Outbox("x", Broken(), TASK, told.append)
    outbox.write(outcome_of(TASK, 0))
    outbox.close()
    assert outbox.tally.table()["failed"] == 3
    assert told == ["sink x loses output: ZeroDivisionError: of all things"]


def test_listener_that_is_gone_ends_no_thread() -> None:
    def gone(text: str) -> None:
        raise BrokenPipeError

    sink = Sieve({0})
    outbox = Outbox("x", sink, TASK, gone)
    outbox.write(outcome_of(TASK, 0))
    outbox.write(outcome_of(TASK, 20))
    outbox.close()
    assert numbers(sink) == [20]


def test_barrier_stops_pictures_and_leaves_telemetry() -> None:
    sinks, reason = {"png": Sieve(), "telemetry": Sieve()}, [""]
    outlets = Outlets(sinks, TASK, lambda text: None, lambda: reason[0], live=False)
    for number in range(6):
        reason[0] = "the quota is used up" if number in (2, 3) else ""
        for sink in outlets.sinks:
            sink.write(outcome_of(TASK, number))
    outlets.close()
    assert numbers(sinks["png"]) == [0, 1, 4, 5]
    assert numbers(sinks["telemetry"]) == list(range(6))
    assert outlets.table()["png"]["reason"] == "the quota is used up"


def test_output_is_synced_within_half_a_second_also_when_nothing_more_comes() -> None:
    class Syncing(Sieve):
        synced = threading.Event()

        def sync(self) -> None:
            self.synced.set()

    sink = Syncing()
    outbox = Outbox("x", sink, TASK)
    outbox.write(outcome_of(TASK, 0))
    assert sink.synced.wait(1.2)
    outbox.close()


def test_nothing_of_frame_size_is_made_in_steady_state() -> None:
    task = task_of(RGB, NDSM, grid=(256, 256))
    sink = type("Nothing", (), {"write": lambda self, outcome: None, "close": lambda self: None})()
    sink.wants = Wants(frames=("rgb", "ndsm"))
    outbox = Outbox("x", sink, task)
    outcome = outcome_of(task, 0, frames={"rgb": np.zeros((256, 256, 3), np.uint8)})
    for _ in range(50):
        outbox.write(outcome)
    tracemalloc.start()
    for _ in range(200):
        outbox.write(outcome)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    outbox.close()
    assert peak < 256 * 256


def test_percentiles_of_write_times_are_right_within_a_twentieth() -> None:
    guard = Guarded("x", Sieve())
    times_ms = np.random.default_rng(0).gamma(2, 3, 5000)
    for value in times_ms:
        guard.tally.wrote(value)
    table = guard.tally.table()["write_ms"]
    assert table["p50"] == pytest.approx(np.percentile(times_ms, 50), rel=0.05)
    assert table["p95"] == pytest.approx(np.percentile(times_ms, 95), rel=0.05)
    assert Guarded("y", Sieve()).tally.table()["write_ms"] == {"p50": None, "p95": None}
