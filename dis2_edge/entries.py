"""Where each sample comes from: its files, and, of scenes that are cut, its window of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dis2_edge.description import Description
from dis2_edge.errors import DataError
from dis2_edge.images import image_size
from dis2_edge.pairing import Pair
from dis2_edge.tiles import Window, blocks, windows


@dataclass(frozen=True)
class Entry:
    """Where one sample comes from: the files, and the window of them where a scene is cut."""

    pair: Pair
    """The files."""
    window: Window | None
    """The part of the files that is this sample; None is all."""

    @property
    def id(self) -> str:
        """Name of the sample; a window's place stands behind the scene's name."""
        return f"{self.pair.id}@{self.window.name}" if self.window else self.pair.id


def entries_of(
    found: Mapping[str, tuple[Pair, ...]], described: Description, grid: tuple[int, int]
) -> dict[str, tuple[Entry, ...]]:
    """Split -> its entries, scenes cut into windows of `grid` where the description asks for it."""
    tiled = any(table.fit == "tile" for table in described.sensors.values())
    if described.split.by != "block":
        return {
            split: tuple(entry for pair in table for entry in (_cut_up(pair, grid) if tiled else [Entry(pair, None)]))
            for split, table in found.items()
        }
    if described.split.block_px < max(grid):
        raise DataError(f"block_px is {described.split.block_px}", expected=f"at least the grid's {grid[0]}x{grid[1]}")
    cut_up: dict[str, tuple[Entry, ...]] = dict.fromkeys(described.split.shares, ())
    for pair in found[""]:
        shared = blocks(_scene_size(pair), described.split.block_px, described.split.shares)
        for split, places in shared.items():
            cut = [Entry(pair, window) for place in places for window in windows(place[2:], grid, place[:2])]
            cut_up[split] += tuple(cut)
    return cut_up


def _cut_up(pair: Pair, grid: tuple[int, int]) -> list[Entry]:
    return [Entry(pair, window) for window in windows(_scene_size(pair), grid)]


def _scene_size(pair: Pair) -> tuple[int, int]:
    """Size of a scene that is to be cut: the same for every sensor and label."""
    files = [*pair.frames.values(), *([pair.label] if pair.label else [])]
    sizes = {path: image_size(path) for path in files}
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{path.name} {height}x{width}" for path, (height, width) in sizes.items())
        raise DataError(f"scene {pair.id!r}: {told} pixels", expected="all of one size, to be cut into windows")
    return sizes[files[0]]
