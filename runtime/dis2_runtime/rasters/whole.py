"""A raster that is held in memory as a whole: pictures, and TIFFs where the extra `geo` is not installed."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy.typing as npt

from dis2_edge import tiff
from dis2_edge.errors import DamagedError, DataError, MissingExtraError
from dis2_edge.images import read_image
from dis2_runtime.rasters.georeference import Georeference, from_tags, from_world_file

_METADATA = 42112
"""GDAL's tag for what a plain reader does not know, such as a scale of the values."""


class WholeRaster:
    """A picture in memory."""

    def __init__(self, path: Path, epsg: int = 0) -> None:
        """`epsg` is its coordinate system where the file does not say."""
        self.path = path
        self.georeference = _georeference(path, epsg)
        self._pixels: npt.NDArray[Any] = read_image(path)
        height, width, channels = self._pixels.shape
        self.shape = (height, width, channels)

    def read(self, top: int, left: int, height: int, width: int) -> npt.NDArray[Any]:
        """A copy of that window."""
        return self._pixels[top : top + height, left : left + width].copy()

    def close(self) -> None:
        """Let the pixels go."""
        self._pixels = self._pixels[:0]


def _georeference(path: Path, epsg: int) -> Georeference | None:
    if path.suffix.lower() not in (".tif", ".tiff"):
        return from_world_file(path, epsg)
    if not tiff.is_classic(path):
        raise MissingExtraError("rasterio", "geo")  # a BigTIFF, or what GDAL alone knows
    try:
        tags = tiff.tags_of(path)
        if any(b'role="scale"' in part for part in tags.get(_METADATA, ())):
            raise MissingExtraError("rasterio", "geo")
        return from_tags(tags, epsg) or from_world_file(path, epsg)
    except (struct.error, ValueError, OverflowError) as error:
        raise DamagedError(f"{path} is damaged or cut short ({error})") from error
    except DataError as error:
        raise DataError(f"{path}: {error.found}", expected=error.expected, mend=error.mend) from error
