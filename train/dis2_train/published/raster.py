"""Read rasters of any size by window, laid on the pixels of a reference raster. The one file that knows rasterio."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds
from rasterio.windows import Window as RasterWindow

from dis2_edge.errors import DataError
from dis2_edge.tiles import Window
from dis2_train.published.georeference import Grid, Ground, Placement, read_world_file

Pixels = npt.NDArray[Any]
CACHE_MB = 64
_FLAT = "EPSG:32631"
"""Any metric system: stands for both rasters where neither says its own, so that none is turned into the other."""


class Raster:
    """A raster file, open for reading by window of the reference grid."""

    def __init__(self, path: Path, opened: Any, grid: Grid) -> None:
        self.path, self.grid, self._opened = path, grid, opened
        self._source, self._place = opened, Placement(0, 0, False)
        self._warped = False

    @property
    def bands(self) -> int:
        """Number of bands."""
        return int(self._opened.count)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the stored values."""
        return np.dtype(str(self._opened.dtypes[0]))

    def lay(self, place: Placement, on: Grid, *, smooth: bool) -> None:
        """From now on read in pixels of the grid `on`; `smooth` interpolates where pixels must be resampled."""
        self._place = place
        if place.warped:
            self._source = _warped(self._opened, self.grid, on, smooth)
            self._warped = True

    def read(self, window: Window, bands: tuple[int, ...] = ()) -> tuple[Pixels, npt.NDArray[np.bool_]]:
        """HxWxC of `window` and HxW that is true where the file has a value; elsewhere pixels are 0.

        DataError when the file is damaged or lacks a band.
        """
        bands = bands or tuple(range(1, self.bands + 1))
        if max(bands) > self.bands:
            raise DataError(f"{self.path} has {self.bands} bands", expected=f"bands {list(bands)}")
        row, column = window.top + self._place.row, window.left + self._place.column
        top, left = max(row, 0), max(column, 0)
        bottom = min(row + window.height, self._source.height)
        right = min(column + window.width, self._source.width)
        pixels = np.zeros((window.height, window.width, len(bands)), self.dtype)
        known = np.zeros((window.height, window.width), np.bool_)
        if top < bottom and left < right:
            part, good = self._part(RasterWindow(left, top, right - left, bottom - top), bands)
            place = slice(top - row, bottom - row), slice(left - column, right - column)
            pixels[place], known[place] = part, good
        return pixels, known

    def colours(self, window: Window) -> tuple[Pixels, npt.NDArray[np.bool_]]:
        """As `read`, a palette turned into its colours and an alpha band left out: how labels in colours are stored."""
        if self.bands >= 3:
            return self.read(window, (1, 2, 3))
        pixels, known = self.read(window, (1,))
        try:
            table: dict[int, tuple[int, ...]] = self._opened.colormap(1)
        except ValueError:  # no palette
            return pixels, known
        paint = np.zeros((256, 3), np.uint8)
        paint[list(table)] = [colour[:3] for colour in table.values()]
        return paint[pixels[..., 0]], known

    def close(self) -> None:
        """Let go of the file."""
        if self._warped:
            self._source.close()
        self._opened.close()

    def _part(self, window: Any, bands: tuple[int, ...]) -> tuple[Pixels, npt.NDArray[np.bool_]]:
        with _raster_errors(self.path):
            part = self._source.read(bands, window=window)  # (C, H, W)
            good = np.ones(part.shape[1:], np.bool_)
            nodata = self._opened.nodata
            # Not the file's own mask: a fourth band is often marked as alpha and is infrared.
            if self._warped:
                good &= self._source.dataset_mask(window=window) > 0
            elif nodata is not None:
                good &= ~(part == part.dtype.type(nodata)).all(axis=0)
            if part.dtype.kind == "f":
                good &= np.isfinite(part).all(axis=0)
        return np.where(good[..., None], part.transpose(1, 2, 0), 0), good


@contextlib.contextmanager
def flat_memory() -> Iterator[None]:
    """Within it, blocks that were read are kept up to 64 MB in all, whatever the scenes' size."""
    with rasterio.Env(GDAL_CACHEMAX=CACHE_MB):
        yield


def open_raster(path: Path, world_file: Path | None = None, epsg: int = 0) -> Raster:
    """Open the raster at `path`; `world_file` and `epsg` say where it lies when the file itself does not."""
    with _raster_errors(path):
        opened = rasterio.open(path)
        return Raster(path, opened, _grid(opened, path, world_file, epsg))


def _grid(opened: Any, path: Path, world_file: Path | None, epsg: int) -> Grid:
    turn = opened.transform
    ground = None
    if not turn.is_identity:
        if turn.b or turn.d or turn.a <= 0 or turn.e >= 0:
            raise DataError(f"{path} turns or mirrors its picture", expected="north up", mend="gdalwarp IN OUT")
        ground = Ground(turn.c, turn.f, turn.a, -turn.e)
    elif world_file is not None:
        ground = read_world_file(world_file)
    return Grid(opened.height, opened.width, ground, _system(opened, epsg) if ground else "")


def _system(opened: Any, epsg: int) -> str:
    """The reference system: the file's where it has a number, else the usual one, else the file's own words."""
    stated = opened.crs.to_epsg() if opened.crs else None
    if stated or epsg:
        return f"EPSG:{stated or epsg}"
    return str(opened.crs.to_wkt()) if opened.crs else ""


def _warped(opened: Any, grid: Grid, on: Grid, smooth: bool) -> Any:
    """A view of the raster in the pixels of `on`; where either does not say its place, stretched over it."""
    if grid.ground is None or on.ground is None:
        source, target = _stretched(grid, on), _stretched(on, on)
        own = crs = CRS.from_string(_FLAT)
    else:
        source, target = _affine(grid.ground), _affine(on.ground)
        crs = CRS.from_string(on.crs or grid.crs or _FLAT)
        own = CRS.from_string(grid.crs) if grid.crs else crs
        _refuse_far(opened, transform_bounds(own, crs, *_bounds(grid, source)), on, crs)
    finer = source.a < 0.75 * target.a and own == crs
    how = (Resampling.average if finer else Resampling.bilinear) if smooth else Resampling.nearest
    return WarpedVRT(
        opened,
        src_crs=own,
        src_transform=source,
        crs=crs,
        transform=target,
        width=on.width,
        height=on.height,
        resampling=how,
        add_alpha=opened.nodata is None,
    )


def _refuse_far(opened: Any, bounds: tuple[float, float, float, float], on: Grid, crs: CRS) -> None:
    """DataError when a raster of another reference system lies elsewhere; `bounds` are its own, in the system `crs`."""
    west, south, east, north = bounds
    box = _bounds(on, _affine(on.ground)) if on.ground else bounds
    if west >= box[2] or east <= box[0] or south >= box[3] or north <= box[1]:
        raise DataError(
            f"{opened.name} (x {west:.2f} to {east:.2f}, y {south:.2f} to {north:.2f} {crs.to_string()}) and the first "
            f"sensor ({on.extent}) do not overlap",
            expected="one place on the ground",
        )


def _bounds(grid: Grid, turn: Affine) -> tuple[float, float, float, float]:
    """West, south, east, north."""
    return turn.c, turn.f + grid.height * turn.e, turn.c + grid.width * turn.a, turn.f


def _affine(ground: Ground) -> Affine:
    return Affine(ground.pixel_x, 0, ground.west, 0, -ground.pixel_y, ground.north)


def _stretched(grid: Grid, on: Grid) -> Affine:
    """Pixels of `grid` spread over a rectangle of the size of `on`."""
    return Affine(on.width / grid.width, 0, 0, 0, -on.height / grid.height, on.height)


@contextlib.contextmanager
def _raster_errors(path: Path) -> Iterator[None]:
    """Turn whatever rasterio raises on a bad file into a DataError that names it; a missing georeference is no news."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            yield
        except (RasterioError, OSError, ValueError) as error:
            raise DataError(f"{path} is damaged or no picture ({error})", mend="copy or unpack it again") from error
