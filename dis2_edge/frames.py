"""A sensor's frame out of a file's pixels, as the description says: bands, number type, no data, size, polarity."""

from __future__ import annotations

import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dis2_edge.description import SensorTable
from dis2_edge.errors import DataError
from dis2_edge.images import nodata_of
from dis2_edge.prepare import fill_nodata, in_float32, invert
from dis2_edge.sensors import Sensor

Pixels = npt.NDArray[Any]


def frame_of(pixels: Pixels, path: Path, root: Path, sensor: Sensor, table: SensorTable) -> tuple[Pixels, int]:
    """The frame HxWxC in the sensor's dtype that `pixels` of the file `path` mean, and the number of its filled pixels.

    Only a file of integers that declares a value as no data is filled, see `fill_nodata`. `root`: the data set's
    folder, below which `table.inverted` names files. DataError names the file: another number of bands, another
    number type or size than the sensor's.
    """
    if table.bands:
        pixels = _bands(pixels, table.bands, path)
    if pixels.shape[2] != sensor.channels:
        raise DataError(f"{path} has {pixels.shape[2]} bands", expected=f"{sensor.channels} of {sensor.name!r}")
    nodata = None if pixels.dtype.kind == "f" else nodata_of(path)
    if pixels.dtype != sensor.numpy_dtype:
        if sensor.dtype != "float32":
            raise _other_type(pixels, path, sensor, stated=table.dtype is not None)
        pixels = in_float32(pixels, nodata)
    if sensor.size not in ((0, 0), pixels.shape[:2]):
        found = f"{path} has {pixels.shape[0]}x{pixels.shape[1]} pixels"
        raise DataError(found, expected=f"{sensor.size[0]}x{sensor.size[1]}, its size")
    frame, filled = (pixels, 0) if pixels.dtype.kind == "f" else fill_nodata(pixels, sensor, nodata)
    return (invert(frame, sensor) if is_inverted(path, root, table) else frame), filled


def is_inverted(path: Path, root: Path, table: SensorTable) -> bool:
    """Whether the description says that the scale of the file `path` below `root` runs the other way."""
    return bool(table.inverted) and any(
        fnmatch.fnmatchcase(path.relative_to(root).as_posix(), pattern) for pattern in table.inverted
    )


def _bands(pixels: Pixels, bands: tuple[int, ...], path: Path) -> Pixels:
    if min(bands) < 1 or max(bands) > pixels.shape[2]:
        raise DataError(f"{path} has {pixels.shape[2]} bands", expected=f"bands {list(bands)}, the first being 1")
    return np.ascontiguousarray(pixels[..., [band - 1 for band in bands]])


def _other_type(pixels: Pixels, path: Path, sensor: Sensor, *, stated: bool) -> DataError:
    """Of a file of another number type: what was measured in 16 bits and what was stretched to 8 are no one scale."""
    whose = "as the description states" if stated else "as the first of its files has it"
    return DataError(
        f"{path} holds {pixels.dtype}",
        expected=f"{sensor.dtype} of {sensor.name!r}, {whose}",
        mend="give the sensor files of one number type, or set its dtype to theirs",
    )
