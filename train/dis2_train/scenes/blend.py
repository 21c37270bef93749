"""Blend overlapping windows: sums of weighted probabilities, of only those rows that a later window may still touch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dis2_train.scenes.windows import weights


class Blend:
    """Sums over a strip as high as a window and as wide as the scene, which moves down with the windows."""

    def __init__(self, classes: int, width: int, window: tuple[int, int]) -> None:
        self._weights = weights(window)
        self._sums = np.zeros((classes, window[0], width), np.float32)
        self._total = np.zeros((window[0], width), np.float32)

    def add(self, left: int, probabilities: npt.NDArray[np.float32], where: npt.NDArray[np.bool_]) -> None:
        """Add (K, h, w) of the window at column `left` of the strip, at those of its pixels that `where` names."""
        columns = slice(left, left + where.shape[1])
        share = self._weights * where
        self._sums[:, :, columns] += probabilities * share
        self._total[:, columns] += share

    def close(self, rows: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """Take the uppermost `rows` out: probabilities (K, rows, W), and where there are any; the strip moves down."""
        total = self._total[:rows].copy()
        done = self._sums[:, :rows] / np.maximum(total, np.finfo(np.float32).tiny)
        _move_up(self._sums, rows)
        _move_up(self._total[None], rows)
        return done, total > 0


def _move_up(strip: npt.NDArray[np.float32], rows: int) -> None:
    """Shift (K, h, W) up by `rows`, in place, zeros from below."""
    kept = strip.shape[1] - rows
    strip[:, :kept] = strip[:, rows:].copy()
    strip[:, kept:] = 0
