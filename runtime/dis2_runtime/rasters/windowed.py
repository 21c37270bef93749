"""A TIFF of any size and compression, read window by window through rasterio (the extra `geo`)."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio._err import CPLE_BaseError  # GDAL's own, which rasterio lets through here and there
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from dis2_edge.errors import DamagedError, DataError, UserError
from dis2_runtime.rasters.georeference import Georeference, geographic

CACHE_BYTES = 64 << 20
"""What GDAL may keep of blocks that it read, whatever the memory of the machine."""


class WindowedRaster:
    """An opened TIFF, of which only the blocks under a window are read."""

    def __init__(self, path: Path, epsg: int = 0) -> None:
        """`epsg` is its coordinate system where the file does not say."""
        self.path = path
        with _rasterio_errors(path), warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            self._file = rasterio.open(path)
        try:
            with _rasterio_errors(path):
                self._describe(epsg)
        except UserError:
            self.close()
            raise

    def _describe(self, epsg: int) -> None:
        """Palette, scale, shape and place of the opened file."""
        self._table = _palette(self._file)
        self._scaled = any(scale != 1 for scale in self._file.scales) or any(self._file.offsets)
        self.shape = (self._file.height, self._file.width, 3 if self._table is not None else self._file.count)
        try:
            self.georeference = _georeference(self._file, epsg)
        except DataError as error:
            raise DataError(f"{self.path}: {error.found}", expected=error.expected, mend=error.mend) from error

    def read(self, top: int, left: int, height: int, width: int) -> npt.NDArray[Any]:
        """That window, read from the file."""
        with _rasterio_errors(self.path), rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES):
            stored = self._file.read(window=Window(left, top, width, height))  # (C, H, W)
        pixels: npt.NDArray[Any] = np.ascontiguousarray(np.moveaxis(stored, 0, 2))
        if self._table is not None:
            return np.asarray(self._table[pixels[..., 0]])
        if pixels.dtype in (np.uint8, np.uint16) and not self._scaled:
            return pixels
        with np.errstate(over="ignore"):  # a nodata value may lie beyond float32
            values = pixels.astype(np.float32)
            if self._file.nodata is not None:
                values[values == np.float32(self._file.nodata)] = np.nan
        return values * np.float32(self._file.scales) + np.float32(self._file.offsets) if self._scaled else values

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _palette(file: Any) -> npt.NDArray[np.uint8] | None:
    """The colours of the indices 0..255; None when the pixels are values."""
    if file.colorinterp[0] != ColorInterp.palette or file.count != 1:
        return None
    table = np.zeros((256, 3), np.uint8)
    for index, colour in file.colormap(1).items():
        table[index] = colour[:3]
    return table


def _georeference(file: Any, epsg: int) -> Georeference | None:
    turn = file.transform
    if turn.is_identity:
        return None
    if file.crs and file.crs.is_geographic:
        raise geographic()
    stated = file.crs.to_epsg() if file.crs else None
    return Georeference((turn.a, turn.b, turn.c, turn.d, turn.e, turn.f), stated or epsg)


@contextlib.contextmanager
def _rasterio_errors(path: Path) -> Iterator[None]:
    """Turn whatever rasterio raises on a bad file into an error that names it."""
    try:
        yield
    except (RasterioError, CPLE_BaseError, OSError, ValueError) as error:
        raise DamagedError(f"{path} is damaged or no picture ({error})", mend="copy or download it again") from error
