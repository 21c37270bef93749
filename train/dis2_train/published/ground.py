"""An estimate of the bare ground under a surface model: the lowest points, opened by a wide window, drawn smooth."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dis2_edge.tiles import Window
from dis2_train.published.raster import Raster

Heights = npt.NDArray[np.float32]
_CELLS = 15
"""Cells across the opening: finer ones cost more and follow lawns and kerbs."""


class GroundModel:
    """The ground under one scene on a coarse grid of cells.

    Each cell takes the lowest surface in it; an opening (least, then greatest value in a square) as wide as
    `width_m` takes off what is narrower and higher than its surroundings, as in morphological filters of laser
    scans (Zhang et al., 2003, one step of theirs). A roof wider than the square passes for ground.
    """

    def __init__(
        self,
        raster: Raster,
        size: tuple[int, int],
        pixel_m: float,
        width_m: float,
        band: int,
        limits: tuple[float, float],
    ) -> None:
        self._cell = max(1, round(width_m / pixel_m / _CELLS))
        lowest = _lowest(raster, size, self._cell, band, limits)
        reach = max(1, round(width_m / pixel_m / self._cell / 2))
        opened = -_least(-_least(lowest, reach), reach)
        known = np.isfinite(opened)
        self._cells = np.where(known, opened, np.median(opened[known]) if known.any() else 0).astype(np.float32)

    def under(self, window: Window) -> Heights:
        """HxW height of the ground under `window`, bilinear between the cells' centres."""
        top, bottom, down = _between(window.top, window.height, self._cell, self._cells.shape[0])
        left, right, across = _between(window.left, window.width, self._cell, self._cells.shape[1])
        rows = self._cells[top] * (1 - down[:, None]) + self._cells[bottom] * down[:, None]  # (H, cells)
        return (rows[:, left] * (1 - across) + rows[:, right] * across).astype(np.float32)


def _lowest(
    raster: Raster, size: tuple[int, int], cell: int, band: int, limits: tuple[float, float]
) -> npt.NDArray[np.float64]:
    """The least value within `limits` in each cell, read a row of cells at a time; infinite where there is none."""
    down, across = (-(-length // cell) for length in size)
    lowest = np.full((down, across), np.inf)
    for row in range(down):
        rows = min(cell, size[0] - row * cell)
        pixels, known = raster.read(Window(row * cell, 0, rows, size[1], rows, size[1]), (band,))
        heights = pixels[..., 0].astype(np.float64)
        known &= (heights >= limits[0]) & (heights <= limits[1])
        values = np.where(known, heights, np.inf).min(axis=0)
        lowest[row] = np.minimum.reduceat(values, np.arange(0, size[1], cell))
    return lowest


def _least(cells: npt.NDArray[np.float64], reach: int) -> npt.NDArray[np.float64]:
    """The least value in the square of `reach` cells around each; cells without a value are passed over."""
    for axis in (0, 1):
        margin = [(reach, reach) if side == axis else (0, 0) for side in (0, 1)]
        filled = np.pad(np.where(np.isfinite(cells), cells, np.inf), margin, constant_values=np.inf)
        cells = np.lib.stride_tricks.sliding_window_view(filled, 2 * reach + 1, axis).min(axis=-1)
    return cells


def _between(
    start: int, count: int, cell: int, cells: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """The two cells around each pixel, and how far it lies towards the second."""
    place = np.clip((np.arange(start, start + count) + 0.5) / cell - 0.5, 0, cells - 1)
    first = np.floor(place).astype(np.intp)
    return first, np.minimum(first + 1, cells - 1), (place - first).astype(np.float32)
