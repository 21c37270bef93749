"""An estimate and how far it can be trusted: a 95 % bootstrap interval over what was sampled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RESAMPLES = 1000
SEED = 0
"""Of the resampling, so that equal samples give equal intervals."""
Statistic = Callable[..., npt.NDArray[np.float64]]
"""NumPy's mean or median: takes an array and `axis`."""


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval."""

    value: float
    """The estimate."""
    low: float
    """2.5 % of the resamples gave less."""
    high: float
    """2.5 % of the resamples gave more."""

    def moved(self, by: float) -> Interval:
        """The same interval elsewhere."""
        return Interval(self.value + by, self.low + by, self.high + by)


def interval(samples: Sequence[float], statistic: Statistic = np.mean) -> Interval:
    """The `statistic` of `samples` and its percentile bootstrap interval; one sample is its own interval."""
    values = np.asarray(samples, np.float64)
    draws = np.random.default_rng(SEED).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.percentile(statistic(values[draws], axis=1), (2.5, 97.5))
    return Interval(float(statistic(values, axis=None)), float(low), float(high))


def exactly(value: float) -> Interval:
    """A figure that was computed and not sampled."""
    return Interval(value, value, value)
