"""Pictures that PyAV decoded, as a sensor's frames: from any pixel format, 16-bit grey kept as it is."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import numpy as np

from dis2_edge.errors import MissingExtraError, SourceError
from dis2_edge.sensors import Sensor
from dis2_runtime.sources.pictures import LOOK, PALETTE, Pixels, coloured

GREYS = ("gray9", "gray10", "gray12", "gray14", "gray16")
"""Pixel formats, less their byte order, whose numbers are kept as uint16."""
PLANES = {
    "yuyv422": ((4, 2, 1),),
    "uyvy422": ((4, 2, 1),),
    "nv12": ((1, 1, 1), (2, 2, 2)),
    "yuv420p": ((1, 1, 1), (1, 2, 2), (1, 2, 2)),
}
"""Raw pixel formats of `picture_from`: of each plane, the bytes that stand for so many pixels across and down."""


def require_av() -> ModuleType:
    """PyAV, imported when first needed."""
    try:
        return importlib.import_module("av")
    except ModuleNotFoundError as error:
        raise MissingExtraError("av", "stream") from error


def pixels_of(picture: Any, sensor: Sensor) -> Pixels:
    """HxWxC of `sensor` from a decoded av.VideoFrame: uint8, or uint16 from grey of more than 8 bits.

    A picture of another depth than the sensor's is handed on in its own, for health to name. SourceError on a thermal
    picture in false colours, and on one that the decoder had to guess parts of.
    """
    if picture.is_corrupt:
        raise SourceError("parts of the picture are missing in the stream")
    form = picture.format.name
    if form.startswith(GREYS):
        return np.ascontiguousarray(picture.to_ndarray()[..., None])
    if sensor.kind == "thermal" and not form.startswith("gray") and coloured(_small(picture)):
        raise PALETTE
    if sensor.channels == 3:
        return np.asarray(picture.to_ndarray(format="rgb24"))
    return np.ascontiguousarray(picture.to_ndarray(format="gray")[..., None])


def _small(picture: Any) -> Pixels:
    """Samples of a picture, as RGB."""
    columns, rows = min(LOOK, picture.width), min(LOOK, picture.height)
    return np.asarray(picture.reformat(columns, rows, "rgb24", interpolation="POINT").to_ndarray())


def picture_from(data: Pixels, form: str, size: tuple[int, int], stride: int = 0) -> Any:
    """An av.VideoFrame of pixel format `form` with the raw bytes `data`, flat uint8, its planes one after another.

    `stride` is bytes a row of the first plane; 0 means no gaps. SourceError when `data` is too short for `size`.
    """
    height, width = size
    if min(size) < 1 or height * width > data.size:
        raise SourceError(f"a picture of {data.size} bytes", expected=f"{width}x{height} pixels of {form}")
    picture = require_av().VideoFrame(width, height, form)
    start, first = 0, -(-width // PLANES[form][0][1]) * PLANES[form][0][0]
    for plane, (count, across, down) in zip(picture.planes, PLANES[form], strict=True):
        rows, row = -(-height // down), -(-width // across) * count
        pitch = (stride or first) * row // first
        if pitch < row or start + pitch * (rows - 1) + row > data.size:
            raise SourceError(f"a picture of {data.size} bytes", expected=f"{width}x{height} pixels of {form}")
        source = np.lib.stride_tricks.as_strided(data[start:], (rows, row), (pitch, 1), writeable=False)
        room = np.frombuffer(plane, np.uint8)[: rows * plane.line_size].reshape(rows, plane.line_size)
        room[:, :row] = source
        start += pitch * rows
    return picture
