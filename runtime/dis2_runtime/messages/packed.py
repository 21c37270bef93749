"""Picture files in messages: PNG (also of 16 bits), JPEG, TIFF and WebP, decoded by Pillow."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image, UnidentifiedImageError

from dis2_edge.errors import DataError
from dis2_runtime.messages.picture import Packed, Pixels

_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, struct.error, zlib.error, MemoryError)
_FORMATS = ("PNG", "JPEG", "TIFF", "WEBP")
_SMALL, _DENSEST = 4 * 2**20, 1100
"""Pixels that are believed anyway; the most that a byte of a PNG can hold."""
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_DEPTH_AT, _GREY = 24, 0
"""Where a PNG tells its bits a channel; the byte behind it says which channels."""


def unpack(packed: Packed) -> Pixels:
    """HxWxC uint8, uint16 or float32; a palette becomes its colours. DataError when it cannot be read as it is."""
    if "compressedDepth" in packed.format:
        found = f"format {packed.format[:60]!r}, depths behind a head of their own"
        raise DataError(found, expected="png or jpeg", mend="record the raw depth topic")
    _refuse_deep_colour(bytes(packed.data[: _DEPTH_AT + 2]))
    try:
        with Image.open(io.BytesIO(packed.data), formats=_FORMATS) as opened:
            _refuse_bomb(opened.size, len(packed.data))
            return _channels_last(np.asarray(_plain(opened)))
    except UnidentifiedImageError as error:
        raise DataError(f"format {packed.format[:60]!r} cannot be read", expected="png, jpeg, tiff or webp") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"the picture is too large ({error})") from error
    except _DAMAGE as error:
        raise DataError(f"the picture is damaged or cut short ({error})") from error


def _plain(image: Image.Image) -> Image.Image:
    """Grey, or red, green, blue, with or without alpha."""
    if image.mode == "1":
        return image.convert("L")
    return image.convert("RGB") if image.mode in ("P", "PA", "CMYK", "YCbCr", "HSV", "LAB") else image


def _refuse_bomb(size: tuple[int, int], length: int) -> None:
    """No format packs tighter: a damaged size must not take the memory of the flight."""
    if size[0] * size[1] > max(_SMALL, _DENSEST * length):
        raise DataError(f"a picture of {size[1]}x{size[0]} in {length} bytes", expected="one that could be in them")


def _refuse_deep_colour(head: bytes) -> None:
    """Pillow halves the bits of a PNG with 16 bits a channel, unless it is grey."""
    if head.startswith(_SIGNATURE) and head[_DEPTH_AT:] and head[_DEPTH_AT] == 16 and head[-1] != _GREY:
        raise DataError("a PNG of 16 bits a colour", expected="8 bits a colour, or grey of 16 bits")


def _channels_last(pixels: Pixels) -> Pixels:
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    if pixels.ndim != 3 or pixels.dtype.name not in ("uint8", "uint16", "float32"):
        raise DataError(f"pixels of type {pixels.dtype}", expected="uint8, uint16 or float32")
    return np.ascontiguousarray(pixels)
