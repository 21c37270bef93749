"""Raw pixels of a message as an array: encoding, byte order and the gap at the end of a row."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dis2_edge.errors import DataError
from dis2_runtime.messages.picture import Picture, Pixels


class _Encoding(NamedTuple):
    dtype: str
    channels: int
    blue_first: bool = False


_ENCODINGS = {
    "mono8": _Encoding("u1", 1),
    "8UC1": _Encoding("u1", 1),
    "mono16": _Encoding("u2", 1),
    "16UC1": _Encoding("u2", 1),
    "32FC1": _Encoding("f4", 1),
    "rgb8": _Encoding("u1", 3),
    "bgr8": _Encoding("u1", 3, blue_first=True),
    "rgba8": _Encoding("u1", 4),
    "bgra8": _Encoding("u1", 4, blue_first=True),
}


def arrange(picture: Picture) -> Pixels:
    """HxWxC uint8, uint16 or float32 in this machine's byte order; colours as red, green, blue (, alpha).

    DataError when the encoding is none of ours or the data are fewer than the layout says.
    """
    encoding = _encoding(picture.encoding)
    dtype = np.dtype(encoding.dtype).newbyteorder(">" if picture.big_endian else "<")
    pixel = dtype.itemsize * encoding.channels
    step = picture.step or picture.width * pixel
    _check(picture, step, picture.width * pixel)
    shape, strides = (picture.height, picture.width, encoding.channels), (step, pixel, dtype.itemsize)
    pixels: Pixels = np.ndarray(shape, dtype, picture.data, strides=strides)
    native = np.require(pixels.astype(dtype.newbyteorder("="), copy=False), requirements=["C", "A"])
    return _red_first(native) if encoding.blue_first else native


def _encoding(name: str) -> _Encoding:
    if name not in _ENCODINGS:
        mend = "let the driver convert it" if name.startswith(("yuv", "yuyv", "uyvy", "bayer", "nv")) else ""
        raise DataError(f"encoding {name[:40]!r}", expected=f"one of {', '.join(_ENCODINGS)}", mend=mend)
    return _ENCODINGS[name]


def _check(picture: Picture, step: int, row: int) -> None:
    size = f"{picture.height}x{picture.width} {picture.encoding} with a step of {step}"
    if min(picture.height, picture.width) < 1 or step < row:
        raise DataError(f"a picture of {size}", expected=f"rows of {row} bytes or more, and some of them")
    needed = (picture.height - 1) * step + row
    if len(picture.data) < needed:
        raise DataError(f"{len(picture.data)} bytes for a picture of {size}", expected=f"{needed}")


def _red_first(pixels: Pixels) -> Pixels:
    turned = np.empty_like(pixels)
    for place, channel in enumerate((2, 1, 0, 3)[: pixels.shape[2]]):
        turned[..., place] = pixels[..., channel]
    return turned
