"""The front holds every undominated mixture and no other, whatever order the blocks come in."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dis2_quantize.choosing import front
from dis2_quantize.choosing.front import Point, Trade, best_within, fastest, pareto, spread, undominated

EIGHTHS = st.integers(-16, 64).map(lambda n: n / 8)  # exact sums, so that equality means equality
TRADES = st.lists(st.tuples(EIGHTHS, EIGHTHS), max_size=7).map(
    lambda pairs: [Trade(f"b{place}", *pair) for place, pair in enumerate(pairs)]
)
START = Point((), 100.0, 50.0)


def every_mixture(trades):
    for count in range(len(trades) + 1):
        for kept in itertools.combinations(trades, count):
            ms, damage = sum(t.ms for t in kept), sum(t.damage for t in kept)
            yield Point(tuple(sorted(t.block for t in kept)), START.ms + ms, START.damage - damage)


def dominates(one, other):
    return one.ms <= other.ms and one.damage <= other.damage and (one.ms, one.damage) != (other.ms, other.damage)


@given(TRADES)
def test_it_is_what_is_left_of_all_mixtures(trades):
    everything = list(every_mixture(trades))
    best = {(p.ms, p.damage) for p in everything if not any(dominates(q, p) for q in everything)}
    found = pareto(trades, START)
    assert {(p.ms, p.damage) for p in found} == best
    assert len(found) == len(best)
    assert set(found) <= set(everything)
    assert [p.ms for p in found] == sorted(p.ms for p in found)


@given(TRADES, st.randoms())
def test_the_order_of_blocks_changes_nothing(trades, random):
    shuffled = random.sample(trades, len(trades))
    assert pareto(shuffled, START) == pareto(trades, START)


@given(st.lists(st.tuples(st.floats(0.1, 9), st.floats(0.1, 9)), min_size=1, max_size=8))
def test_all_integers_and_all_floats_are_its_ends(pairs):
    trades = [Trade(f"b{place}", *pair) for place, pair in enumerate(pairs)]
    found = pareto(trades, START)
    assert found[0] == START
    assert found[-1].kept == tuple(sorted(trade.block for trade in trades))


def test_a_block_that_is_faster_and_better_as_a_float_is_in_every_point():
    found = pareto([Trade("free", 1.0, -1.0), Trade("dear", 1.0, 2.0)], START)
    assert [point.kept for point in found] == [("free",), ("dear", "free")]


@given(TRADES)
def test_greedy_finds_mixtures_and_dominated_ones_are_gone(trades):
    whole = pareto(trades, START)
    found = front._greedy(trades, START)
    assert undominated(found) == found
    assert set(found) <= set(every_mixture(trades))
    for point in found:
        assert any(
            best == point or dominates(best, point) or (best.ms, best.damage) == (point.ms, point.damage)
            for best in whole
        )


def test_many_blocks_are_done_greedily_and_soon():
    trades = [Trade(f"b{place:02}", 2.0**place, 2.0**place + place) for place in range(40)]
    found = pareto(trades, Point((), 0.0, 2.0**41))
    assert 30 < len(found) <= front.MOST_POINTS
    assert len(found[-1].kept) == 40


POINTS = [Point((), 1.0, 9.0), Point(("a",), 2.0, 4.0), Point(("a", "b"), 3.0, 3.5), Point(("a", "b", "c"), 9.0, 0.0)]


@pytest.mark.parametrize(("budget", "kept"), [(0.5, None), (1.0, ()), (2.9, ("a",)), (99.0, ("a", "b", "c"))])
def test_a_budget_of_time_takes_the_least_damage_within_it(budget, kept):
    found = best_within(POINTS, budget)
    assert (found.kept if found else None) == kept


def test_a_limit_of_damage_takes_the_fastest_within_it():
    assert fastest(POINTS, lambda point: point.damage <= 4.0) == POINTS[1]
    assert fastest(POINTS, lambda point: point.damage < 0) is None


@given(st.integers(1, 9))
def test_spread_keeps_both_ends_and_the_count(count):
    found = spread(POINTS, count)
    assert 1 <= len(found) <= count
    assert found[0] == POINTS[0]
    assert count == 1 or found[-1] == POINTS[-1]
    assert list(found) == [point for point in POINTS if point in found]
