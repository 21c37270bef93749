"""The bootstrap of a comparison: which images, and which seeds, each resample is made of.

Images are shared: one resample draws the same images for every row, so that what is hard for all cancels in a
difference. Seeds are drawn within each row, on their own. Resampling both factors of a crossed design errs to the wide
side (Owen, "The pigeonhole bootstrap", 2007); few seeds err to the narrow one, which the weights make good.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]


def draw_images(images: int, resamples: int, seed: int) -> Values:
    """(R, N): how often each of N images stands in each resample; every row sums to N."""
    random = np.random.default_rng((seed, images))
    drawn = random.integers(0, images, (resamples, images))
    drawn += np.arange(resamples)[:, None] * images
    return np.bincount(drawn.ravel(), minlength=resamples * images).reshape(resamples, images).astype(np.float64)


def draw_seeds(runs: Sequence[str], resamples: int, seed: int) -> Values:
    """(R, S) weights of a row's S runs, each row summing to 1; equal `runs` (their names) are given equal draws.

    A bootstrap of S values has (S - 1) / S of the variance that their mean has, and no tail for how badly S values
    tell a variance. The weights' distance from 1/S is therefore stretched by sqrt(S / (S - 1)), and by Student's
    quantile at the 2 (S - 1) degrees of freedom of a difference of two rows over the normal one. One run has nothing to
    draw.
    """
    count = len(runs)
    if count == 1:
        return np.ones((resamples, 1))
    name = hashlib.sha256("\0".join(runs).encode()).digest()[:8]
    random = np.random.default_rng((seed, int.from_bytes(name, "big")))
    drawn = random.multinomial(count, np.full(count, 1 / count), resamples) / count
    stretch = math.sqrt(count / (count - 1)) * student(2 * (count - 1)) / _NORMAL
    weights: Values = 1 / count + (drawn - 1 / count) * stretch
    return weights


def student(freedom: int) -> float:
    """Student's quantile at 97.5 %; from 20 degrees of freedom on by the first term of its expansion, 0.01 off."""
    return _STUDENT.get(freedom, _NORMAL + (_NORMAL**3 + _NORMAL) / (4 * freedom))


_NORMAL = 1.959964
_STUDENT = {2: 4.3027, 4: 2.7764, 6: 2.4469, 8: 2.3060, 10: 2.2281, 12: 2.1788, 14: 2.1448, 16: 2.1199, 18: 2.1009}
