"""Percentiles with the bounds that so many samples allow: order statistics by the binomial, no shape assumed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dis2_edge.timing import P95_LEAST, P99_LEAST

CONFIDENCE = 0.95
_EXACT = 200_000
"""Samples up to which the binomial is summed; beyond, the normal distribution is as good."""
_Z = 1.959964


@dataclass(frozen=True)
class Percentile:
    """A percentile of measured times, and where the true one lies with 95 %."""

    ms: float
    """The sample's percentile."""
    low_ms: float | None
    """Lower bound; None when so few samples have none."""
    high_ms: float | None
    """Upper bound; None when so few samples have none: of a p99 those below 368."""


@dataclass(frozen=True)
class Spread:
    """Percentiles of `n` measured times; one that so few samples cannot tell is None."""

    n: int
    """Samples."""
    p50: Percentile | None
    """Half of them took at most this long."""
    p95: Percentile | None
    """95 % of them did."""
    p99: Percentile | None
    """99 % of them did."""

    @classmethod
    def of(cls, samples_ms: Sequence[float]) -> Spread:
        """The spread of samples in milliseconds."""
        ordered = np.sort(np.asarray(samples_ms, np.float64))
        return cls.by_rank(len(ordered), lambda rank: float(ordered[rank - 1]))

    @classmethod
    def by_rank(cls, n: int, at: Callable[[int], float]) -> Spread:
        """The spread of `n` samples of which `at(rank)` is the rank-th smallest, counted from 1."""
        p50, p95, p99 = (
            _percentile(n, share, at) if n >= least else None
            for share, least in ((0.5, 1), (0.95, P95_LEAST), (0.99, P99_LEAST))
        )
        return cls(n, p50, p95, p99)


def ranks(n: int, share: float, confidence: float = CONFIDENCE) -> tuple[int | None, int | None]:
    """Ranks, counted from 1, of the samples between which the `share` quantile lies with `confidence`.

    Clopper and Pearson's bounds turned round: how many of `n` samples lie below the true quantile is binomial. None
    where even the smallest or the largest sample does not suffice.
    """
    tail = (1 - confidence) / 2
    if n > _EXACT:
        middle, wide = n * share, _Z * math.sqrt(n * share * (1 - share))
        return math.floor(middle - wide), math.ceil(middle + wide) + 1
    at_most = _binomial(n, share)
    low, high = int(np.searchsorted(at_most, tail, "right")), int(np.searchsorted(at_most, 1 - tail, "left")) + 1
    return low or None, high if high <= n else None


def _binomial(n: int, share: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """P(at most k of n) for k = 0..n."""
    k = np.arange(1, n + 1)
    logs = np.cumsum(np.log((n - k + 1) / k)) + k * math.log(share / (1 - share))
    chances = np.exp(n * math.log1p(-share) + np.concatenate([[0.0], logs]))
    total: np.ndarray[tuple[int], np.dtype[np.float64]] = np.cumsum(chances)
    return total


def _percentile(n: int, share: float, at: Callable[[int], float]) -> Percentile:
    low, high = ranks(n, share)
    middle = at(max(1, math.ceil(share * n)))
    return Percentile(
        round(middle, 3),
        None if low is None else round(at(low), 3),
        None if high is None else round(at(high), 3),
    )
