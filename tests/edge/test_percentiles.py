"""Bounds of percentiles: they hold as often as they say, and nothing is said that n cannot tell."""

from __future__ import annotations

import numpy as np
import pytest

from dis2_edge.percentiles import Spread, ranks


def test_bounds_are_those_of_the_tables() -> None:
    assert ranks(100, 0.5) == (40, 61)  # David and Nagaraja, table 7.1
    assert ranks(5, 0.5) == (None, None)
    assert ranks(6, 0.5) == (1, 6)


def test_a_p99_has_an_upper_bound_from_368_samples_on() -> None:
    assert ranks(367, 0.99)[1] is None
    assert ranks(368, 0.99)[1] == 368


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_many_samples_are_bounded_as_fewer_are(share: float) -> None:
    exact, near = ranks(200_000, share), ranks(200_001, share)
    assert all(abs(one - other) <= 3 for one, other in zip(exact, near, strict=True))


@pytest.mark.parametrize(("n", "share"), [(60, 0.5), (400, 0.95), (1000, 0.99)])
def test_the_true_percentile_lies_within_as_often_as_stated(n: int, share: float) -> None:
    low, high = ranks(n, share)
    samples = np.sort(np.random.default_rng(0).random((4000, n)), axis=1)
    within = (samples[:, low - 1] <= share) & (share <= samples[:, high - 1])
    assert within.mean() > 0.945


def test_what_n_cannot_tell_is_none() -> None:
    few = Spread.of([1.0] * 19)
    assert (few.n, few.p95, few.p99) == (19, None, None)
    assert Spread.of([]).p50 is None
    some = Spread.of(list(range(1, 101)))
    assert (some.p50.ms, some.p95.ms, some.p99.ms, some.p99.high_ms) == (50, 95, 99, None)
