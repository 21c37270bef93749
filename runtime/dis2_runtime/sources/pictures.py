"""Raw pictures as a sensor's frames, by NumPy alone: bytes to HxWxC, colours to what the sensor declares, no rescaling.

A thermal camera that colours its picture by a palette is refused: colours are no temperatures, and no table leads back.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import SourceError
from dis2_edge.sensors import Sensor

Pixels = npt.NDArray[Any]

ALIKE = 12
"""How far apart the channels of a grey pixel may be, in 0..255: what video compression does to grey."""
COLOURED_MOST = 0.02
"""Share of coloured samples from which a picture is coloured."""
LOOK = 64
"""Rows and columns of the samples, at least."""
PALETTE = SourceError(
    "the thermal picture is coloured by a palette, and no temperature can be had from it",
    mend="switch the camera to Y16, or to white-hot grey",
)
BRIGHTNESS = np.array([0.299, 0.587, 0.114], np.float32)
"""Shares of red, green and blue in the brightness of a pixel (ITU-R BT.601)."""


class Packing(NamedTuple):
    """How a pixel lies in memory."""

    dtype: str
    """NumPy type of a number, with its byte order."""
    numbers: int
    """Numbers a pixel."""
    order: tuple[int, ...]
    """Which of them are the grey, or red, green and blue."""


PACKINGS = {
    "GRAY8": Packing("u1", 1, (0,)),
    "GRAY16_LE": Packing("<u2", 1, (0,)),
    "GRAY16_BE": Packing(">u2", 1, (0,)),
    "RGB": Packing("u1", 3, (0, 1, 2)),
    "BGR": Packing("u1", 3, (2, 1, 0)),
    "RGBx": Packing("u1", 4, (0, 1, 2)),
    "BGRx": Packing("u1", 4, (2, 1, 0)),
    "xRGB": Packing("u1", 4, (1, 2, 3)),
    "xBGR": Packing("u1", 4, (3, 2, 1)),
    "RGBA": Packing("u1", 4, (0, 1, 2)),
    "BGRA": Packing("u1", 4, (2, 1, 0)),
}
"""Pixel formats that need no arithmetic, by GStreamer's names."""


def check_sensor(sensor: Sensor, uri: str) -> None:
    """SourceError if no picture can ever be a frame of `sensor`."""
    if (sensor.dtype, sensor.channels) not in (("uint8", 1), ("uint8", 3), ("uint16", 1)):
        found = f"source {uri!r}: sensor {sensor.name!r} has {sensor.channels} channels of {sensor.dtype}"
        raise SourceError(found, expected="1 or 3 of uint8, or 1 of uint16: a video holds no other")


def unpacked(data: Pixels, form: str, size: tuple[int, int], stride: int = 0) -> Pixels:
    """A copy HxWxC, uint8 or uint16, of the picture in `data`, flat uint8 bytes of the packed pixel format `form`.

    `stride` is bytes a row; 0 means no gaps. SourceError when `data` is too short for `size`, height and width.
    """
    packing, (height, width) = PACKINGS[form], size
    row = width * packing.numbers * np.dtype(packing.dtype).itemsize
    stride = stride or row
    if min(size) < 1 or stride < row or data.size < stride * (height - 1) + row:
        raise SourceError(f"a picture of {data.size} bytes", expected=f"{height} rows of {row} bytes, {width}x{height}")
    rows = np.lib.stride_tricks.as_strided(data, (height, row), (stride, 1), writeable=False)
    numbers = np.ascontiguousarray(rows).view(packing.dtype).reshape(height, width, packing.numbers)
    if packing.order == tuple(range(packing.numbers)):
        return numbers.astype(np.dtype(packing.dtype).newbyteorder("="), copy=False)
    return numbers[..., packing.order]


def fitted(pixels: Pixels, sensor: Sensor) -> Pixels:
    """HxWxC of `sensor` from grey or RGB; SourceError on a thermal picture in false colours.

    A picture of another depth than the sensor's is handed on as it is, for health to name.
    """
    if pixels.shape[2] == 3 and sensor.kind == "thermal" and coloured(pixels):
        raise PALETTE
    if pixels.dtype != np.uint8 or pixels.shape[2] == sensor.channels:
        return pixels
    if sensor.channels == 3:
        return np.repeat(pixels, 3, axis=2)
    if sensor.kind == "thermal":
        return np.ascontiguousarray(pixels[..., :1])
    return np.rint(pixels @ BRIGHTNESS).astype(np.uint8)[..., None]


def coloured(rgb: Pixels) -> bool:
    """Whether more than a few pixels of `rgb`, HxWx3 uint8, have unlike channels."""
    rows, columns = max(1, rgb.shape[0] // LOOK), max(1, rgb.shape[1] // LOOK)
    small = rgb[::rows, ::columns].astype(np.int16)
    spread = small.max(axis=2) - small.min(axis=2)
    return bool(np.count_nonzero(spread > ALIKE) > COLOURED_MOST * spread.size)
