"""Where each pixel of a grid lies in a sensor's native frame: lens, homography and fit in one look-up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import DataError
from dis2_edge.lens import Coordinates
from dis2_edge.sensors import IDENTITY, Sensor

Size = tuple[int, int]
RemapTable = npt.NDArray[np.float32]
"""HxWx2 on the grid: native column and row of each grid pixel."""
Mask = npt.NDArray[np.bool_]
_EDGE = 0.5
"""A pixel reaches half a pixel around its centre."""


@dataclass(frozen=True)
class Places:
    """The native place of every grid pixel."""

    rows: npt.NDArray[np.float32]
    """HxW, native row, kept within the frame."""
    columns: npt.NDArray[np.float32]
    """HxW, native column, kept within the frame."""
    inside: Mask
    """HxW, whether the frame covers the pixel."""


def is_bent(sensor: Sensor) -> bool:
    """Whether frames of `sensor` need a look-up of places, not just another size."""
    return sensor.to_grid != IDENTITY or sensor.lens is not None


def places(sensor: Sensor, size: Size, grid: Size, remap: RemapTable | None = None) -> Places:
    """The places of `grid`'s pixels in a frame of `size` (height, width); `remap` stands for lens and homography.

    Backwards from the grid: through `to_grid`, or `fit` where that is the identity, to the frame of a perfect camera,
    then through the lens. DataError when the frame covers no grid pixel, or the homography has no inverse.
    """
    with np.errstate(all="ignore"):
        x, y, seen = _undistorted(sensor, size, grid) if remap is None else _listed(remap)
        if sensor.lens is not None and remap is None:
            x, y, reached = sensor.lens.distort(x, y)
            seen = seen & reached
        inside = seen & (x >= -_EDGE) & (y >= -_EDGE) & (x <= size[1] - 1 + _EDGE) & (y <= size[0] - 1 + _EDGE)
    if not inside.any():
        raise _uncovered(sensor, size, grid, listed=remap is not None)
    return Places(_within(y, size[0]), _within(x, size[1]), inside)


def check_homography(sensor: Sensor) -> Coordinates:
    """The inverse of `to_grid`, 3x3; a DataError when there is none."""
    matrix = np.asarray(sensor.to_grid, np.float64).reshape(3, 3)
    scaled = matrix / max(np.abs(matrix).max(), np.finfo(np.float64).tiny)
    if abs(np.linalg.det(matrix)) < 1e-12 or np.linalg.matrix_rank(scaled, 1e-12) < 3:
        raise DataError(
            f"sensor {sensor.name!r}: to_grid {sensor.to_grid} cannot be inverted",
            expected="a homography with a determinant other than 0",
            mend="calibrate again, from at least four points of which no three lie on a line",
        )
    return np.asarray(np.linalg.inv(matrix), np.float64)


def check_remap(sensor: Sensor, remap: RemapTable, grid: Size) -> None:
    """DataError unless `remap` is a finite HxWx2 table of `grid`."""
    if remap.shape != (*grid, 2) or remap.dtype.kind != "f":
        found = f"sensor {sensor.name!r}: a remap table of {'x'.join(map(str, remap.shape))} {remap.dtype}"
        raise DataError(found, expected=f"{grid[0]}x{grid[1]}x2 float32, native x and y of each grid pixel")
    bad = int(np.count_nonzero(~np.isfinite(remap)))
    if bad:
        found = f"sensor {sensor.name!r}: {bad} values of the remap table are NaN or infinite"
        raise DataError(found, expected="finite numbers", mend="write places outside the frame as -1e6")


def crop_corner(sensor: Sensor, size: Size, grid: Size) -> tuple[int, int]:
    """First row and column of the centre of a frame of `size`; DataError when it is too small, or was to be cut."""
    if size == grid:
        return 0, 0
    where = f"sensor {sensor.name!r}: a frame of {size[0]}x{size[1]} pixels"
    if sensor.fit == "tile":
        expected = f"windows of the grid's {grid[0]}x{grid[1]}"
        raise DataError(where, expected=expected, mend="cut the frame into tiles, or in flight say its size in the rig")
    if size[0] < grid[0] or size[1] < grid[1]:
        raise DataError(where, expected=f"at least the grid's {grid[0]}x{grid[1]}", mend='set fit = "resize"')
    return (size[0] - grid[0]) // 2, (size[1] - grid[1]) // 2


def _undistorted(sensor: Sensor, size: Size, grid: Size) -> tuple[Coordinates, Coordinates, Mask]:
    """Column and row of each grid pixel in the frame of a perfect camera, and whether it lies before that camera."""
    rows, columns = np.mgrid[: grid[0], : grid[1]].astype(np.float64)
    everywhere = np.ones(grid, np.bool_)
    if sensor.to_grid != IDENTITY:
        inverse = check_homography(sensor)
        x, y, scale = np.tensordot(inverse, np.stack([columns, rows, np.ones(grid)]), 1)
        return x / scale, y / scale, scale > 0
    if sensor.fit == "resize":
        half = 0.5
        x, y = (columns + half) * (size[1] / grid[1]) - half, (rows + half) * (size[0] / grid[0]) - half
        return x, y, everywhere
    top, left = crop_corner(sensor, size, grid)
    return columns + left, rows + top, everywhere


def _listed(remap: RemapTable) -> tuple[Coordinates, Coordinates, Mask]:
    return remap[..., 0].astype(np.float64), remap[..., 1].astype(np.float64), np.ones(remap.shape[:2], np.bool_)


def _uncovered(sensor: Sensor, size: Size, grid: Size, *, listed: bool) -> DataError:
    how = "remap" if listed else "to_grid" if sensor.to_grid != IDENTITY else "lens"
    direction = "check its direction and units: it goes from native pixels (x, y) to grid pixels"
    return DataError(
        f"sensor {sensor.name!r}: {how} brings no pixel of a {size[0]}x{size[1]} frame to the {grid[0]}x{grid[1]} grid",
        expected="a frame that covers some of it",
        mend=direction if how == "to_grid" else "check that it was made for frames of this size",
    )


def _within(place: Coordinates, length: int) -> npt.NDArray[np.float32]:
    return np.clip(np.nan_to_num(place), 0, length - 1).astype(np.float32)
