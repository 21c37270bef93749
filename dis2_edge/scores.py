"""Scores from confusion counts: counts first, every score second, so that scores can be computed again later."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import InternalError

Counts = npt.NDArray[np.int64]


def confusion(truth: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint8], classes: int) -> Counts:
    """Counts Kx(K+1) int64: row = truth, column = prediction, the last one for a prediction that is no class.

    `truth`, `mask`: arrays of one shape, uint8. Pixels whose truth is no class (ignore) do not count; a prediction
    outside the classes is wrong for its row and helps no column.
    """
    if truth.shape != mask.shape:
        raise InternalError(f"truth has shape {truth.shape} and mask {mask.shape}; they are compared pixel by pixel")
    known = truth < classes
    rows = truth[known].astype(np.int64)
    columns = np.minimum(mask[known].astype(np.int64), classes)
    flat = np.bincount(rows * (classes + 1) + columns, minlength=classes * (classes + 1))
    return flat.reshape(classes, classes + 1)


def known(score: float) -> float | None:
    """`score`, or None for the nan of what did not occur: JSON has no nan."""
    return None if math.isnan(score) else score


@dataclass(frozen=True)
class Scores:
    """IoU, F1 and overall accuracy of one confusion matrix Kx(K+1); a class that nobody saw or named is nan."""

    iou: tuple[float, ...]
    """Intersection over union of each class, 0..1."""
    f1: tuple[float, ...]
    """F1 of each class, 0..1."""
    oa: float
    """Overall accuracy: share of known pixels that are right."""

    @property
    def miou(self) -> float:
        """Mean IoU over the classes that occur."""
        return float(np.nanmean(self.iou)) if not np.isnan(self.iou).all() else float("nan")

    @property
    def mean_f1(self) -> float:
        """Mean F1 over the classes that occur."""
        return float(np.nanmean(self.f1)) if not np.isnan(self.f1).all() else float("nan")


def scores(counts: Counts) -> Scores:
    """The scores of confusion counts Kx(K+1) as `confusion` gives them (sums of several images are fine)."""
    hit = np.diagonal(counts).astype(np.float64)
    truth = counts.sum(axis=1)
    named = counts[:, : len(counts)].sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        iou = hit / (truth + named - hit)
        f1 = 2 * hit / (truth + named)
        oa = float(hit.sum() / truth.sum()) if truth.sum() else float("nan")
    return Scores(tuple(iou.tolist()), tuple(f1.tolist()), oa)
