"""The histogram of a flight: percentiles to one per cent, in memory that does not grow."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dis2_edge.percentiles import Spread
from dis2_runtime.histogram import ERROR, LOWEST_MS, Histogram


@given(st.lists(st.floats(LOWEST_MS, 1e6), min_size=1, max_size=200))
def test_every_rank_is_within_the_stated_error(values: list[float]) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    for rank, value in enumerate(sorted(values), 1):
        assert abs(histogram.at(rank) - value) <= value * (ERROR + 1e-9)
    assert histogram.most_ms == max(values)


def test_the_spread_is_that_of_the_samples() -> None:
    values = np.random.default_rng(0).lognormal(2, 0.5, 2000)
    histogram = Histogram()
    for value in values:
        histogram.add(float(value))
    found, exact = histogram.spread(), Spread.of(values)
    for one, other in ((found.p50, exact.p50), (found.p95, exact.p95), (found.p99, exact.p99)):
        assert abs(one.ms / other.ms - 1) <= ERROR + 1e-3
        assert abs(one.high_ms / other.high_ms - 1) <= ERROR + 1e-3


def test_strange_times_are_counted_too() -> None:
    histogram = Histogram()
    for value in (0.0, -1.0, 1e-9, 1e12):
        histogram.add(value)
    assert histogram.n == 4
    assert histogram.at(1) <= 2 * LOWEST_MS
