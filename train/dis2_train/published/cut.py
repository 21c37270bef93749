"""Cut scenes into tiles: where the windows of each split lie, and which labelled pixels count in which of them."""

from __future__ import annotations

from dis2_edge.errors import DataError
from dis2_edge.tiles import Window, blocks, windows

SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}


def windows_of(size: tuple[int, int], tile: int, overlap: int) -> list[Window]:
    """Windows of `tile` pixels that cover `size`, evenly, each two by at least `overlap`; tile 0 takes it whole.

    DataError when the scene is smaller than a tile.
    """
    if not tile:
        return [Window(0, 0, *size, *size)]
    if min(size) < tile:
        raise DataError(f"a scene of {size[0]}x{size[1]} pixels", expected=f"at least a tile of {tile}x{tile}")
    rows, columns = (_starts(length, tile, overlap) for length in size)
    return [
        Window(top, left, tile, tile, own_height, own_width) for top, own_height in rows for left, own_width in columns
    ]


def windows_by_split(
    size: tuple[int, int], splits: tuple[str, ...], tile: int, overlap: int, block_px: int
) -> list[tuple[str, Window]]:
    """(split, window) of a scene. Only train overlaps: elsewhere a pixel that counted twice would weigh double."""
    if not block_px:
        return [(splits[0], window) for window in windows_of(size, tile, overlap if splits[0] == "train" else 0)]
    if not tile or block_px < tile:
        raise DataError(
            f"blocks of {block_px} px with tiles of {tile}", expected="tiles above 0, no larger than blocks"
        )
    return [
        (split, window)
        for split, places in blocks(size, block_px, SHARES).items()
        for top, left, height, width in places
        for window in windows((height, width), (tile, tile), (top, left))
    ]


def _starts(length: int, tile: int, overlap: int) -> list[tuple[int, int]]:
    """(start, owned length) of the fewest tiles."""
    count = -(-(length - overlap) // (tile - overlap)) if length > tile else 1
    starts = [round(index * (length - tile) / max(count - 1, 1)) for index in range(count)]
    return [(start, following - start) for start, following in zip(starts, [*starts[1:], length], strict=True)]
