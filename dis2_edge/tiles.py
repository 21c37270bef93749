"""Cut scenes that are larger than the grid into windows, and share blocks of a scene out to splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import DataError


@dataclass(frozen=True)
class Window:
    """A part of a scene, in pixels of the scene."""

    top: int
    """First row."""
    left: int
    """First column."""
    height: int
    """Number of rows."""
    width: int
    """Number of columns."""
    own_height: int
    """Rows from the top whose labels count here; those below belong to the next window."""
    own_width: int
    """Columns from the left whose labels count here."""

    @property
    def name(self) -> str:
        """What is put behind a scene's id; safe in a file name."""
        return f"r{self.top}c{self.left}"

    def cut(self, pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The window's part of HxW or HxWxC pixels."""
        return pixels[self.top : self.top + self.height, self.left : self.left + self.width]

    def cut_label(self, label: npt.NDArray[np.uint8], ignore: int) -> npt.NDArray[np.uint8]:
        """The window's part of a label HxW; what another window owns becomes `ignore`, so that it is counted once."""
        part = self.cut(label).copy()
        part[self.own_height :], part[:, self.own_width :] = ignore, ignore
        return part


def windows(
    size: tuple[int, int], grid: tuple[int, int], origin: tuple[int, int] = (0, 0), overlap: tuple[int, int] = (0, 0)
) -> tuple[Window, ...]:
    """The fewest windows of `grid` pixels that cover `size` pixels from `origin`, overlapping evenly, row by row.

    Neighbours share at least `overlap` rows and columns.
    """
    if size[0] < grid[0] or size[1] < grid[1]:
        raise DataError(f"a scene of {size[0]}x{size[1]} pixels", expected=f"at least the grid's {grid[0]}x{grid[1]}")
    rows, columns = (_starts(*lengths) for lengths in zip(size, grid, overlap, strict=True))
    return tuple(
        Window(origin[0] + top, origin[1] + left, *grid, own_height, own_width)
        for top, own_height in rows
        for left, own_width in columns
    )


def blocks(
    size: tuple[int, int], block_px: int, shares: Mapping[str, float]
) -> dict[str, tuple[tuple[int, int, int, int], ...]]:
    """Share the blocks of a scene out to splits: split -> (top, left, height, width) of its blocks.

    Blocks are `block_px` on a side, larger at the far edges, so that none is smaller. Which block goes where is drawn
    once from a fixed seed; every split gets at least one.
    """
    edges = [[*range(0, max(length // block_px, 1) * block_px, block_px), length] for length in size]
    places = [
        (top, left, bottom - top, right - left)
        for top, bottom in zip(edges[0], edges[0][1:], strict=False)
        for left, right in zip(edges[1], edges[1][1:], strict=False)
    ]
    if len(places) < len(shares):
        raise DataError(f"{len(places)} blocks of {block_px} px for {len(shares)} splits", mend="make block_px smaller")
    order = np.random.default_rng(0).permutation(len(places))
    ends = np.cumsum(list(shares.values())) / sum(shares.values()) * len(places)
    bounds = [0, *np.rint(ends).astype(int).tolist()]
    for index in range(1, len(bounds)):
        left = len(bounds) - 1 - index
        bounds[index] = min(max(bounds[index], bounds[index - 1] + 1), len(places) - left)
    return {
        split: tuple(places[place] for place in sorted(order[first:last].tolist()))
        for split, first, last in zip(shares, bounds, bounds[1:], strict=False)
    }


def _starts(length: int, window: int, overlap: int) -> list[tuple[int, int]]:
    """(start, owned length) of the fewest windows that cover `length` and share `overlap`."""
    count = max(1, -(-(length - overlap) // (window - overlap)))
    starts = [round(index * (length - window) / max(count - 1, 1)) for index in range(count)]
    return [(start, following - start) for start, following in zip(starts, [*starts[1:], length], strict=True)]
