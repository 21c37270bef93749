"""Stamps of a source's clock on the run's: never in the future, off by the smallest delay, back after every jump."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dis2_runtime.stamps import AWAY_NS, BACK_NS, HALF_NS, SourceClock

MS = 1_000_000
times = st.integers(-(2**62), 2**62)


@given(st.lists(st.tuples(times, st.integers(0, 2**62)), min_size=1, max_size=40))
def test_no_stamp_whatever_is_mapped_into_the_future_or_far_into_the_past(pairs) -> None:
    clock = SourceClock()
    arrivals = sorted(arrival for _, arrival in pairs)
    for (stamp, _), arrival in zip(pairs, arrivals, strict=True):
        assert arrival - AWAY_NS <= clock.map(stamp, arrival) <= arrival


@given(offset=times, delays=st.lists(st.integers(0, 400 * MS), min_size=2, max_size=60))
def test_steady_clock_is_off_by_the_smallest_delay_so_far(offset, delays) -> None:
    clock, latest, least = SourceClock(), 0, 2**62
    for number, delay in enumerate(delays):
        captured = number * 100 * MS
        latest = max(latest, captured + delay)  # frames arrive in order
        least = min(latest - captured, least)
        assert clock.map(captured + offset, latest) == captured + least


@given(offset=times, jump=st.integers(BACK_NS + 200 * MS, 2**61))
def test_clock_that_is_set_back_is_anchored_anew(offset, jump) -> None:
    clock = SourceClock()
    for number in range(10):
        clock.map(number * 100 * MS + offset, number * 100 * MS + 5 * MS)
    arrival = 1005 * MS
    assert clock.map(1000 * MS + offset - jump, arrival) == arrival
    assert clock.map(1100 * MS + offset - jump, arrival + 100 * MS) == arrival + 100 * MS


def test_burst_after_a_stall_keeps_its_age() -> None:
    clock = SourceClock()
    for number in range(20):
        clock.map(number * 100 * MS, number * 100 * MS)
    assert [clock.map(t * MS, 5000 * MS) for t in (2000, 2100, 4900)] == [2000 * MS, 2100 * MS, 4900 * MS]


def test_clock_that_runs_slow_is_followed() -> None:
    clock, worst = SourceClock(), 0
    for number in range(0, 3600 * 10, 5):  # an hour, 100 ppm slow
        arrival = number * 100 * MS
        worst = max(worst, arrival - clock.map(round(arrival * (1 - 1e-4)), arrival))
    assert worst <= 2 * HALF_NS * 1e-4 + 1 * MS


def test_clock_that_stands_still_is_given_up_after_a_while() -> None:
    clock = SourceClock()
    ages = [arrival - clock.map(7, arrival) for arrival in range(0, 3 * AWAY_NS, 100 * MS)]
    assert max(ages) <= AWAY_NS
