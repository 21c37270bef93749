"""What a file lost against another on the same images: points of IoU, with paired bootstrap intervals over images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dis2_edge.scores import Counts
from dis2_train.judging.bootstrap import draw_images
from dis2_train.judging.comparison import INTERVAL, RESAMPLES
from dis2_train.judging.measures import OVERALL, needed, resampled

Values = npt.NDArray[np.float64]
_SEED = 0


@dataclass(frozen=True)
class Drop:
    """Points of IoU (0..100) that were lost; below 0 they were gained."""

    points: float
    """Over all images."""
    low: float
    """2.5th percentile of the resamples."""
    high: float
    """97.5th percentile of the resamples."""


@dataclass(frozen=True)
class Drops:
    """What one file lost."""

    miou: Drop | None
    """Of mean IoU over the classes that occur; None where no class does."""
    classes: tuple[Drop | None, ...]
    """Of each class's IoU; None for a class that does not occur in the labels."""


def drops(reference: Counts, found: Counts, resamples: int = RESAMPLES) -> Drops:
    """What `found` lost against `reference`, both (N, K, K+1) counts of the same N images in the same order.

    A resample draws the same images for both, so that what is hard for both cancels. Classes without a labelled pixel
    count nowhere: one pixel that is falsely called so would move the mean by 1/K.
    """
    present = occurring(reference)
    if not present.any():
        return Drops(None, (None,) * len(present))
    images = np.vstack([np.ones(len(reference)), draw_images(len(reference), resamples, _SEED)]).T  # (N, 1 + R)
    lost = 100 * (_ious(reference, present, images) - _ious(found, present, images))  # (1 + P, 1 + R)
    bounds = np.percentile(lost[:, 1:], INTERVAL, axis=1).T
    told = [Drop(float(row[0]), float(low), float(high)) for row, (low, high) in zip(lost, bounds, strict=True)]
    miou, *each = told
    rest = iter(each)
    return Drops(miou, tuple(next(rest) if there else None for there in present))


def ious(counts: Counts) -> tuple[float | None, tuple[float | None, ...]]:
    """Mean IoU and each class's IoU (0..1) of (N, K, K+1) counts; None for what does not occur in the labels."""
    present = occurring(counts)
    if not present.any():
        return None, (None,) * len(present)
    miou, *each = _ious(counts, present, np.ones((len(counts), 1)))[:, 0].tolist()
    rest = iter(each)
    return miou, tuple(next(rest) if there else None for there in present)


def occurring(counts: Counts) -> npt.NDArray[np.bool_]:
    """(K,): whether a class has a labelled pixel in any image of (N, K, K+1) counts."""
    there: npt.NDArray[np.bool_] = counts.sum(axis=(0, 2)) > 0
    return there


def _ious(counts: Counts, present: npt.NDArray[np.bool_], images: Values) -> Values:
    """(1 + P, R): mean IoU and IoU of the P present classes over each weighting (N, R) of the images."""
    parts = needed(counts).reshape(3, len(present), -1)[:, present]  # hits, truths, namings of the present classes
    measured = resampled(parts.reshape(3 * int(present.sum()), -1) @ images)
    kept: Values = measured[[0, *range(len(OVERALL), len(measured))]]
    return kept
