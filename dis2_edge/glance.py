"""A glance at a frame: a few thousand of its pixels, and the entropy of them. Training and flight look the same way."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[Any]
Values = npt.NDArray[np.float64]
LOOKS = 48
"""Rows and columns that are looked at, about, spread over the frame."""
LEVELS = 32
"""Steps of value that entropy is counted in."""
SPREADS = 2.5
"""The steps reach from so many spreads below a frame's mean to as many above; the last hold the rest."""
ENTROPY_MOST = math.log2(LEVELS)
"""Entropy, in bits, of a frame that has all levels equally often."""


def pairs(pixels: Pixels) -> tuple[Pixels, Pixels]:
    """Some pixels of a frame HxWxC and the right-hand neighbour of each: two views (rows, columns, C).

    A frame one pixel wide has no neighbours; each pixel then stands for its own.
    """
    rows, columns = max(1, pixels.shape[0] // LOOKS), max(2, pixels.shape[1] // LOOKS)
    if pixels.shape[1] < 2:
        return pixels[::rows], pixels[::rows]
    return pixels[::rows, : pixels.shape[1] - 1 : columns], pixels[::rows, 1::columns]


def entropy_bits(values: Values, mean: float) -> float:
    """Entropy of `values` (any shape, of that mean) over LEVELS steps around the mean, in bits.

    As the steps are the frame's own, a picture keeps its entropy when it gets darker or fainter. Their width comes from
    the mean distance from the mean, which a few hot pixels or a small fire hardly change; a standard deviation they
    would double.
    """
    levels = values - mean
    spread = math.sqrt(math.pi / 2) * float(np.abs(levels).mean())  # as a normal distribution's standard deviation
    if not spread > 0:
        return 0.0
    levels *= LEVELS / (2 * SPREADS * spread)
    levels += LEVELS / 2
    np.clip(levels, 0, LEVELS - 1, out=levels)
    counts = np.bincount(levels.ravel().astype(np.intp), minlength=LEVELS)
    shares = counts[counts > 0] / values.size
    return float(-(shares * np.log2(shares)).sum())


def frame_entropy(pixels: Pixels, valid_min: float, valid_max: float) -> float:
    """Entropy of a whole frame HxWxC by a glance at it, holes left out, in bits; NaN when all of it is holes."""
    values = pairs(pixels)[0].astype(np.float64)
    values = values[(values >= valid_min) & (values <= valid_max)]
    return entropy_bits(values, float(values.mean())) if values.size else float("nan")
