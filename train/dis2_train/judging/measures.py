"""Scores of many confusion counts at once: what `dis2_edge.scores` computes for one, for arrays of sums.

Of a confusion matrix the scores need three numbers a class: hits, pixels that are of the class, pixels that were
called so. Sums of those over any choice of images, which is all that a bootstrap makes, are sums of the counts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dis2_edge.scores import Counts

Values = npt.NDArray[np.float64]
OVERALL = ("miou", "mean_f1", "oa", "worst_iou")


def measures_of(classes: Sequence[str]) -> tuple[str, ...]:
    """Names of the measures, in the order of `measure`: the overall ones, then `iou NAME` of each class."""
    return (*OVERALL, *(f"iou {name}" for name in classes))


def needed(counts: Counts) -> Values:
    """(N, K, K+1) counts to (3K, N): hits, truths and namings of each class."""
    classes = counts.shape[1]
    hits = np.diagonal(counts, axis1=1, axis2=2)
    parts = np.concatenate([hits, counts.sum(2), counts[:, :, :classes].sum(1)], axis=1)
    return np.ascontiguousarray(parts.T, np.float64)


def measure(sums: Values) -> Values:
    """(3K, ...) sums of `needed` to (4+K, ...) measures, 0..1: mIoU, mean F1, OA, the worst class's IoU, each IoU.

    A class that is neither there nor called so has no score (nan), and counts in no mean.
    """
    return _measures(*_of_classes(sums), _accuracy(sums))


def resampled(sums: Values) -> Values:
    """(3K, 1 + R) sums, the first over all images, to the measures of each.

    A class that a resample lost altogether keeps its score over all images in it: a mean over the classes that are left
    would be another measure, which jumps with every resample that lost a rare class.
    """
    iou, f1 = (np.where(np.isnan(values), values[:, :1], values) for values in _of_classes(sums))
    return _measures(iou, f1, _accuracy(sums))


def _of_classes(sums: Values) -> tuple[Values, Values]:
    """IoU and F1 of each class, (K, ...) both."""
    hits, truths, named = np.split(sums, 3)
    return _ratio(hits, truths + named - hits), _ratio(2 * hits, truths + named)


def _accuracy(sums: Values) -> Values:
    hits, truths, _ = np.split(sums, 3)
    return _ratio(hits.sum(0), truths.sum(0))


def _measures(iou: Values, f1: Values, accuracy: Values) -> Values:
    worst = np.where(np.isnan(iou), np.inf, iou).min(0)
    worst = np.where(np.isinf(worst), np.nan, worst)
    return np.stack([_mean(iou), _mean(f1), accuracy, worst, *iou])


def _ratio(above: Values, below: Values) -> Values:
    found: Values = np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below > 0)
    return found


def _mean(values: Values) -> Values:
    """Mean over the first axis, of what is known."""
    known = ~np.isnan(values)
    return _ratio(np.where(known, values, 0.0).sum(0), known.sum(0).astype(np.float64))
