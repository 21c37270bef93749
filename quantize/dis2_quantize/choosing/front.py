"""The Pareto front of latency and damage over which blocks stay in floating point; pure arithmetic.

The model is additive: keeping a block adds its time and takes its damage away, whatever else is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

MOST_POINTS = 1 << 12
"""A front that grows past this while blocks are added is built greedily instead."""


@dataclass(frozen=True)
class Trade:
    """What keeping one block in floating point would change."""

    block: str
    """Its name."""
    damage: float
    """Damage in nats that goes."""
    ms: float
    """Milliseconds that come; below 0 where the block is faster as a float."""


@dataclass(frozen=True)
class Point:
    """One mixture of integers and floats."""

    kept: tuple[str, ...]
    """Blocks in floating point, in alphabetical order."""
    ms: float
    """Latency in milliseconds."""
    damage: float
    """Divergence from FP32 in nats."""


def pareto(trades: Sequence[Trade], start: Point) -> tuple[Point, ...]:
    """The front from `start`, where no block is kept: fastest first, each next point slower and with less damage.

    Exact as long as it holds at most `MOST_POINTS`: block by block, the front so far is joined with itself moved by
    that block, and what is dominated goes (Nemhauser and Ullmann 1969, for the knapsack). Beyond, greedily by damage
    per millisecond.
    """
    trades = sorted(trades, key=lambda trade: trade.block)
    front: tuple[Point, ...] = (start,)
    for trade in trades:
        front = undominated([*front, *(_with(point, trade) for point in front)])
        if len(front) > MOST_POINTS:
            return _greedy(trades, start)
    return front


def undominated(points: Iterable[Point]) -> tuple[Point, ...]:
    """The points to which no other is both as fast and as good, fastest first; of equals the one that keeps fewer."""
    front: list[Point] = []
    for point in sorted(points, key=lambda point: (point.ms, point.damage, len(point.kept), point.kept)):
        if not front or point.damage < front[-1].damage:
            front.append(point)
    return tuple(front)


def spread(front: Sequence[Point], count: int) -> tuple[Point, ...]:
    """At most `count` points of `front`, both ends among them, at even steps of damage."""
    steps = np.linspace(front[0].damage, front[-1].damage, count)
    nearest = {min(range(len(front)), key=lambda place: abs(front[place].damage - step)) for step in steps}
    return tuple(front[place] for place in sorted(nearest))


def fastest(points: Iterable[Point], allowed: Callable[[Point], bool]) -> Point | None:
    """Of the `allowed` points the one of least latency, of equals the one that keeps fewer; None when there is none."""
    return min(filter(allowed, points), key=lambda point: (point.ms, len(point.kept), point.damage), default=None)


def best_within(points: Iterable[Point], budget_ms: float) -> Point | None:
    """Of the points that take at most `budget_ms` the one of least damage; None when there is none."""
    fitting = (point for point in points if point.ms <= budget_ms)
    return min(fitting, key=lambda point: (point.damage, point.ms), default=None)


def _with(point: Point, trade: Trade) -> Point:
    return Point((*point.kept, trade.block), point.ms + trade.ms, point.damage - trade.damage)


def _greedy(trades: Sequence[Trade], start: Point) -> tuple[Point, ...]:
    """Blocks kept one after the other, most damage per millisecond first, after what is faster as a float."""

    def order(trade: Trade) -> tuple[bool, float, str]:
        return trade.ms > 0, -trade.damage / trade.ms if trade.ms > 0 else -trade.damage, trade.block

    points = [start]
    for trade in sorted(trades, key=order):
        points.append(_with(points[-1], trade))
    return undominated(Point(tuple(sorted(point.kept)), point.ms, point.damage) for point in points)
