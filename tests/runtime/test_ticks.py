"""Ticks: counted against elapsed time x rate, by an anchor or a timer, whatever arrives when."""

from __future__ import annotations

import itertools
import math

from hypothesis import given
from hypothesis import strategies as st
from tiny_bundle import NDSM, RGB, task_of

from dis2_edge.bundle import Policy
from dis2_runtime.ticks import BACKLOG, Tick, Ticker

MS = 1_000_000
TASK = task_of(RGB, NDSM)
PERIOD_MS = 100  # of rgb


def fixed(rate_hz: float = 10) -> Ticker:
    return Ticker(TASK, Policy(rate_hz=rate_hz))


def anchored() -> Ticker:
    return Ticker(TASK, Policy(anchor="rgb"))


def played(ticker: Ticker, arrivals_ms: list[int], end_ms: int) -> list[Tick]:
    """The ticks of a loop that looks whenever something arrives or falls due."""
    ticks, arrivals = [], sorted(arrivals_ms)
    while True:
        coming = [at for at in arrivals[:1] if at * MS <= ticker.next_ns]
        now = coming[0] * MS if coming else ticker.next_ns
        if now > end_ms * MS:
            return ticks
        for at in coming:
            ticker.hear(at * MS)
            arrivals.pop(0)
        ticks += ticker.fallen_due(now)


@given(st.floats(0.5, 200), st.lists(st.integers(0, 3000), max_size=30))
def test_fixed_rate_counts_elapsed_time_times_rate_however_often_one_looks(rate_hz, looks_ms) -> None:
    ticker, ticks = fixed(rate_hz), []
    for now_ms in [*sorted(looks_ms), 3000]:
        ticks += ticker.fallen_due(now_ms * MS)
    total = math.floor(3000 * MS / 1e9 * rate_hz + 1e-9)
    assert abs(len(ticks) + ticker.missed - total) <= (
        1 if total and abs(3 * rate_hz - round(3 * rate_hz)) < 1e-6 else 0
    )
    assert [tick.time_ns for tick in ticks] == sorted(tick.time_ns for tick in ticks)


@given(st.lists(st.integers(0, 3000), max_size=60))
def test_anchor_never_leaves_a_gap_nor_a_crowd(arrivals_ms) -> None:
    ticks = played(anchored(), arrivals_ms, 3000)
    times = [0, *[tick.time_ns / MS for tick in ticks], 3000]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert max(gaps) <= 1.5 * PERIOD_MS
    assert all(gap >= 0.5 * PERIOD_MS - 1e-6 for gap in gaps[1:-1])
    assert [tick.number for tick in ticks] == list(range(len(ticks)))


@given(st.lists(st.integers(-(10**18), 10**18), max_size=30))
def test_anchor_survives_any_arrival_time(arrivals) -> None:
    ticker = anchored()
    for at in arrivals:
        ticker.hear(min(at, 60 * 10**9))
    ticks = ticker.fallen_due(60 * 10**9)
    assert len(ticks) <= BACKLOG
    assert [tick.time_ns for tick in ticks] == sorted(tick.time_ns for tick in ticks)


def test_anchor_ticks_with_its_frames() -> None:
    ticks = played(anchored(), [95, 205, 298], 320)
    assert [(tick.time_ns / MS, tick.cause) for tick in ticks] == [(95, "rgb"), (205, "rgb"), (298, "rgb")]


def test_silent_anchor_is_replaced_by_a_timer_and_takes_over_again() -> None:
    ticks = played(anchored(), [100, 200, 710, 810], 850)
    found = [(tick.time_ns / MS, tick.cause) for tick in ticks]
    silent = "timer, rgb is silent"
    assert found == [
        (100, "rgb"),
        (200, "rgb"),
        (350, silent),
        (450, silent),
        (550, silent),
        (650, silent),
        (710, "rgb"),
        (810, "rgb"),
    ]


def test_burst_of_anchor_frames_is_one_tick() -> None:
    ticks = played(anchored(), [100, 101, 102, 103, 200], 220)
    assert [tick.time_ns / MS for tick in ticks] == [100, 200]


def test_ticks_noticed_late_are_handed_out_in_order_and_the_oldest_of_too_many_are_counted() -> None:
    ticker = fixed(10)
    assert [tick.number for tick in ticker.fallen_due(350 * MS)] == [0, 1, 2]
    ticks = ticker.fallen_due((350 + 100 * (BACKLOG + 20)) * MS)
    assert len(ticks) == BACKLOG
    assert ticker.missed == 20
    assert ticks[-1].number == BACKLOG + 22


def test_an_anchor_that_comes_back_soon_after_a_tick_of_the_timer_sets_the_ticks_again() -> None:
    ticks = played(anchored(), [0, *range(1013, 2000, 100)], 2000)
    late = [tick.cause for tick in ticks if tick.time_ns > 1_100 * MS]
    assert set(late) == {"rgb"}
