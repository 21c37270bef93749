"""Decoded pictures as a sensor's frames: by PyAV from any pixel format, never rescaled, 16-bit grey kept as it is.

A thermal camera that colours its picture by a palette is refused: colours are no temperatures, and no table leads back.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import SourceError
from dis2_edge.sensors import Sensor

Pixels = npt.NDArray[Any]

GREYS = ("gray9", "gray10", "gray12", "gray14", "gray16")
"""Pixel formats, less their byte order, whose numbers are kept as uint16."""
PLANES = {
    "gray": ((1, 1, 1),),
    **dict.fromkeys(("gray10le", "gray12le", "gray14le", "gray16le", "gray16be"), ((2, 1, 1),)),
    **dict.fromkeys(("rgb24", "bgr24"), ((3, 1, 1),)),
    **dict.fromkeys(("rgb0", "bgr0", "0rgb", "0bgr", "rgba", "bgra", "argb", "abgr"), ((4, 1, 1),)),
    **dict.fromkeys(("yuyv422", "uyvy422"), ((4, 2, 1),)),
    "nv12": ((1, 1, 1), (2, 2, 2)),
    "yuv420p": ((1, 1, 1), (1, 2, 2), (1, 2, 2)),
}
"""Raw pixel formats of `picture_from`: of each plane, the bytes that stand for so many pixels across and down."""
LOOK = 64
"""Rows and columns of the samples that tell colours from grey."""
ALIKE = 12
"""How far apart the channels of a grey pixel may be, in 0..255: what video compression does to grey."""
COLOURED_MOST = 0.02
"""Share of coloured samples from which a picture is coloured."""
PALETTE = (
    "the thermal picture is coloured by a palette, and no temperature can be had from it; "
    "switch the camera to Y16 or to white-hot grey"
)


def require_av() -> ModuleType:
    """PyAV, imported when first needed; its absence is answered with the extra's pip line."""
    return importlib.import_module("av")


def check_sensor(sensor: Sensor, uri: str) -> None:
    """SourceError if no picture can ever be a frame of `sensor`."""
    if (sensor.dtype, sensor.channels) not in (("uint8", 1), ("uint8", 3), ("uint16", 1)):
        found = f"source {uri!r}: sensor {sensor.name!r} has {sensor.channels} channels of {sensor.dtype}"
        raise SourceError(found, expected="1 or 3 of uint8, or 1 of uint16: a video holds no other")


def pixels_of(picture: Any, sensor: Sensor) -> Pixels:
    """HxWxC of `sensor` from a decoded av.VideoFrame: uint8, or uint16 from grey of more than 8 bits.

    A picture of another depth than the sensor's is handed on in its own, for health to name. SourceError on a thermal
    picture in false colours.
    """
    form = picture.format.name
    if form.startswith(GREYS):
        return np.ascontiguousarray(picture.to_ndarray()[..., None])
    if sensor.kind == "thermal" and not form.startswith("gray") and coloured(picture):
        raise SourceError(PALETTE)
    if form.startswith("gray") or sensor.channels == 1 or sensor.dtype == "uint16":
        return _channels(picture.to_ndarray(format="gray")[..., None], sensor)
    return np.asarray(picture.to_ndarray(format="rgb24"))


def coloured(picture: Any) -> bool:
    """Whether more than a few pixels of an av.VideoFrame have unlike channels."""
    rows, columns = min(LOOK, picture.height), min(LOOK, picture.width)
    small = picture.reformat(columns, rows, "rgb24", interpolation="POINT").to_ndarray().astype(np.int16)
    spread = small.max(axis=2) - small.min(axis=2)
    return bool(np.count_nonzero(spread > ALIKE) > COLOURED_MOST * spread.size)


def _channels(grey: Pixels, sensor: Sensor) -> Pixels:
    """Grey for a sensor of three channels is three alike."""
    return np.repeat(grey, 3, axis=2) if sensor.channels == 3 else np.ascontiguousarray(grey)


def picture_from(data: Pixels, form: str, height: int, width: int, strides: tuple[int, ...] = ()) -> Any:
    """An av.VideoFrame of pixel format `form` around raw `data`, flat uint8, its planes one after another.

    `strides` are bytes a row of each plane; without them the rows are packed. SourceError when `data` is too short.
    """
    picture = require_av().VideoFrame(width, height, form)
    start = 0
    for number, (plane, (size, across, down)) in enumerate(zip(picture.planes, PLANES[form], strict=True)):
        rows, packed = -(-height // down), -(-width // across) * size
        stride = strides[number] if strides else packed
        if start + stride * (rows - 1) + packed > data.size or stride < packed:
            found = f"a picture of {data.size} bytes, {stride} a row"
            raise SourceError(found, expected=f"the {width}x{height} pixels of {form}")
        source = np.lib.stride_tricks.as_strided(data[start:], (rows, packed), (stride, 1), writeable=False)
        room = np.frombuffer(plane, np.uint8)[: rows * plane.line_size].reshape(rows, plane.line_size)
        room[:, :packed] = source
        start += stride * rows
    return picture
