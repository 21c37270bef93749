"""Labelled tiles of a data set, on the bundle's grid, in one file that a board measures accuracy on."""

from __future__ import annotations

from pathlib import Path

from dis2_boards.deployment.order import Order
from dis2_edge.bundle import Bundle
from dis2_edge.dataset import open_dataset
from dis2_edge.errors import InternalError
from dis2_edge.labelled import Images
from dis2_edge.tiles_file import write_tiles


def make_tiles(order: Order, bundle: Bundle, out: Path) -> Path:
    """Write the order's tiles, spread over the split, to `out`; DataError when the data are not the bundle's."""
    if order.data is None:
        raise InternalError("tiles of no data")
    images = Images(bundle, open_dataset(order.data, order.describe), order.split, order.tiles)
    write_tiles(out, (images.read(name) for name in images.names), bundle.manifest.task)
    return out
