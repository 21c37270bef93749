"""Rasters, large and small: a window of pixels at a time, and where they lie on the ground.

With the extra `geo` a TIFF of any size is read window by window; without it, and for PNG and JPEG, the whole picture is
held in memory.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt

from dis2_edge.errors import DamagedError
from dis2_runtime.rasters.georeference import Georeference

__all__ = ["Georeference", "Raster", "open_raster"]


class Raster(Protocol):
    """An opened raster. What is declared as no data is NaN in float32; in integers it stays."""

    path: Path
    """The file."""
    shape: tuple[int, int, int]
    """Height, width and channels."""
    georeference: Georeference | None
    """Where it lies; None when neither the file nor a world file beside it says."""

    def read(self, top: int, left: int, height: int, width: int) -> npt.NDArray[Any]:
        """That window, wholly within the raster, HxWxC uint8, uint16 or float32, the caller's to keep.

        Raises DataError when the file is damaged there.
        """

    def close(self) -> None:
        """Let go of the file; may be called twice."""


def open_raster(path: Path, epsg: int = 0) -> Raster:
    """Open the raster at `path`; `epsg` is its coordinate system where the file does not say. Raises DataErrors."""
    if not path.is_file():
        raise DamagedError(f"{path} does not exist", expected="a GeoTIFF, TIFF, PNG or JPEG")
    if path.suffix.lower() in (".tif", ".tiff") and importlib.util.find_spec("rasterio"):
        from dis2_runtime.rasters.windowed import WindowedRaster

        return WindowedRaster(path, epsg)
    from dis2_runtime.rasters.whole import WholeRaster

    return WholeRaster(path, epsg)
