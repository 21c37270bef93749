"""Fit what layers attain to measured files, and say how far the fit is off for files that it did not see."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dis2_boards.prediction.roofline import VIEWS
from dis2_edge.costs import LayerCost

BANDWIDTH, OVERHEAD, CALL = "bandwidth", "overhead", "call"
_FINEST = 1e-4
"""Step, in logarithms, at which a search ends."""

Attained = Mapping[str, float]
"""What layers attain: GOP/s by number format, `bandwidth` in GB/s, `overhead` in us a layer, `call` in ms an image."""


@dataclass(frozen=True)
class Sample:
    """A file that was measured."""

    name: str
    """Name of the file."""
    layers: Sequence[LayerCost]
    """What its layers cost."""
    ms: float
    """What it took."""
    family: str = ""
    """What it has in common with others: what is left out together."""


class Fitted:
    """Samples as arrays, so that many roofs can be tried: the formula is that of `dis2_boards.prediction.roofline`."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.samples = samples
        kept = [[layer for layer in sample.layers if layer.kind not in VIEWS] for sample in samples]
        flat = [layer for layers in kept for layer in layers]
        self._operations = np.array([layer.operations for layer in flat], float)
        self._bytes = np.array([layer.bytes for layer in flat], float)
        self._formats = np.array([layer.format for layer in flat])
        self._starts = np.cumsum([0, *map(len, kept[:-1])])
        self._measured = np.array([sample.ms for sample in samples])

    def predicted_ms(self, attained: Attained) -> npt.NDArray[np.float64]:
        """What each file takes where layers attain that much."""
        throughput = np.empty(len(self._formats))
        for name in np.unique(self._formats):
            throughput[self._formats == name] = attained[name]
        longest = np.maximum(self._operations / throughput, self._bytes / attained[BANDWIDTH]) / 1e6
        taken: npt.NDArray[np.float64] = np.add.reduceat(longest + attained[OVERHEAD] / 1e3, self._starts)
        return taken + attained.get(CALL, 0.0)

    def ratios(self, attained: Attained) -> npt.NDArray[np.float64]:
        """Predicted over measured, file by file."""
        return self.predicted_ms(attained) / self._measured

    def fit(self, start: Attained, free: Sequence[str], most: Attained | None = None) -> dict[str, float]:
        """`start` with its `free` values moved to where the logarithms of the ratios have the least squares.

        None gets above `most`, where that names it.
        """
        limits = {name: (most or {}).get(name, math.inf) for name in free}

        def cost(tried: Attained) -> float:
            if any(tried[name] > limits[name] for name in free):
                return math.inf
            return float(np.mean(np.log(self.ratios(tried)) ** 2))

        return _searched(dict(start), free, cost)


def off(ratio: float) -> float:
    """How far a ratio is from 1, as a factor of 1 or more."""
    return max(ratio, 1 / ratio)


def worst(ratios: Sequence[float]) -> float:
    """The largest factor by which any of `ratios` is off."""
    return max(map(off, ratios))


def typical(ratios: Sequence[float]) -> float:
    """The geometric mean of the factors by which `ratios` are off."""
    return math.exp(sum(abs(math.log(ratio)) for ratio in ratios) / len(ratios))


def leave_out(
    samples: Sequence[Sample],
    start: Attained,
    free: Sequence[str],
    most: Attained | None = None,
    key: Callable[[Sample], str] = lambda sample: sample.name,
) -> list[float]:
    """Predicted over measured of each sample, by a fit to those of every other `key`."""
    found = []
    for sample in samples:
        others = [other for other in samples if key(other) != key(sample)]
        found.append(float(Fitted([sample]).ratios(Fitted(others).fit(start, free, most))[0]))
    return found


def _searched(found: dict[str, float], free: Sequence[str], cost: Callable[[Attained], float]) -> dict[str, float]:
    """The lowest `cost` that steps along one value at a time lead to, each step half as long when none helps."""
    least, step = cost(found), 0.5
    while step > _FINEST:
        moved = False
        for name in free:
            for factor in (math.exp(step), math.exp(-step)):
                tried = {**found, name: found[name] * factor}
                if (taken := cost(tried)) < least:
                    found, least, moved = tried, taken, True
        step = step if moved else step / 2
    return found
