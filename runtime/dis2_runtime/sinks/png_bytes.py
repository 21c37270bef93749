"""PNG files of 8-bit pixels, written by ourselves: a mask costs a third of what Pillow takes, and is smaller.

Masks are long runs of one value, so zlib need only look for runs (Z_RLE). Confidence changes slowly from pixel to
pixel, so each is stored as the difference to the one on its left (the filter "sub").
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _PALETTE = 0, 3
_PLAIN, _SUB = 0, 1


class PngEncoder:
    """Encodes pictures of one size in a buffer that is made once. A mask that comes again is not encoded again."""

    def __init__(self, size: tuple[int, int], palette: bytes = b"") -> None:
        """`size`: height and width; `palette`: RGB of each index, or empty for grey."""
        height, width = size
        colour = _PALETTE if palette else _GREY
        header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
        self._head = _SIGNATURE + _chunk(b"IHDR", header) + (_chunk(b"PLTE", palette) if palette else b"")
        self._rows = np.zeros((height, 1 + width), np.uint8)  # a byte that names the filter leads each row
        self._rows[:, 0] = _PLAIN if palette else _SUB
        self._last = b""

    def encode(self, pixels: npt.NDArray[np.uint8]) -> bytes:
        """The file of `pixels`, HxW."""
        if self._rows[0, 0] == _SUB:
            self._rows[:, 1] = pixels[:, 0]
            np.subtract(pixels[:, 1:], pixels[:, :-1], out=self._rows[:, 2:])
        elif self._last and np.array_equal(self._rows[:, 1:], pixels):
            return self._last
        else:
            self._rows[:, 1:] = pixels
        squeeze = zlib.compressobj(1, zlib.DEFLATED, 15, 9, zlib.Z_RLE)
        data = squeeze.compress(self._rows.data) + squeeze.flush()
        self._last = self._head + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")
        return self._last


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(name)))
