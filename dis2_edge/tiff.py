"""TIFF files that Pillow cannot hold: channels of uint16 or float32, or more than four (orthophotos, radar stacks)."""

from __future__ import annotations

import mmap
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import DataError

Pixels = npt.NDArray[Any]
Tags = dict[int, tuple[Any, ...]]
_FORMATS = {1: "B", 2: "s", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d"}
_KINDS = {1: "u", 2: "i", 3: "f"}
NODATA = 42113
"""The tag in which GDAL says which value is no data."""


def wanted(path: Path) -> bool:
    """Whether `path` is a TIFF of several channels that Pillow narrows or refuses: over 8 bits, or unusually many."""
    if path.suffix.lower() not in (".tif", ".tiff") or not is_classic(path):
        return False
    tags = tags_of(path)
    channels = _one(tags, 277, 1)
    return channels > 1 and (tags.get(258, (1,))[0] > 8 or channels not in (3, 4))


def is_classic(path: Path) -> bool:
    """Whether `path` begins as a TIFF whose places have 32 bits, the only kind that is read here."""
    with path.open("rb") as file:
        return file.read(4) in (b"II*\0", b"MM\0*")


def nodata(text: bytes | str | None) -> float | None:
    """The value of GDAL's tag 42113, which is text; None where there is none, or none that is a number."""
    if text is None:
        return None
    try:
        return float((text.decode("ascii", "replace") if isinstance(text, bytes) else text).strip("\0 "))
    except ValueError:
        return None


def declared(path: Path) -> float | None:
    """The value that a TIFF declares as no data."""
    return nodata(tags_of(path).get(NODATA, (None,))[0])


def size(path: Path) -> tuple[int, int]:
    """Height and width in pixels."""
    tags = tags_of(path)
    return _one(tags, 257), _one(tags, 256)


def dtype(path: Path) -> np.dtype[Any]:
    """Number type of the values."""
    tags = tags_of(path)
    return np.dtype(f"{_KINDS[_one(tags, 339, 1)]}{tags[258][0] // 8}")


def read(path: Path) -> Pixels:
    """The pixels HxWxC of an uncompressed or deflated TIFF in strips or tiles, channels together or apart."""
    data = path.read_bytes()
    tags, order = _tags(data)
    compression, predictor = _one(tags, 259, 1), _one(tags, 317, 1)
    if compression not in (1, 8, 32946) or predictor not in (1, 2):
        raise DataError(
            f"{path}: TIFF compression {compression}, predictor {predictor}",
            expected="no compression or deflate, predictor 1 or 2",
            mend="gdal_translate -co COMPRESS=DEFLATE IN OUT",
        )
    height, width, channels = _one(tags, 257), _one(tags, 256), _one(tags, 277, 1)
    kind = np.dtype(f"{order}{_KINDS[_one(tags, 339, 1)]}{tags[258][0] // 8}")
    apart = _one(tags, 284, 1) == 2
    tiled = 324 in tags
    block_h = _one(tags, 323) if tiled else min(_one(tags, 278, height), height)
    block_w = _one(tags, 322) if tiled else width
    offsets, lengths = (tags[324], tags[325]) if tiled else (tags[273], tags[279])
    across, down = -(-width // block_w), -(-height // block_h)
    depth = 1 if apart else channels
    canvas = np.zeros((down * block_h, across * block_w, channels), kind.newbyteorder("="))
    for index, (offset, length) in enumerate(zip(offsets, lengths, strict=True)):
        plane, place = divmod(index, across * down)
        top, left = place // across * block_h, place % across * block_w
        rows = block_h if tiled else min(block_h, height - top)
        raw = data[offset : offset + length]
        raw = raw if compression == 1 else zlib_bytes(raw)
        block: Pixels = np.frombuffer(raw, kind, count=rows * block_w * depth).reshape(rows, block_w, depth)
        if predictor == 2:
            block = np.cumsum(block, axis=1, dtype=kind.newbyteorder("="))
        chosen = slice(plane, plane + 1) if apart else slice(None)
        canvas[top : top + rows, left : left + block_w, chosen] = block
    return np.ascontiguousarray(canvas[:height, :width])


def encode(pixels: Pixels, extra: dict[int, tuple[int, tuple[Any, ...]]]) -> bytes:
    """The bytes of a deflated one-strip TIFF of HxWxC pixels; `extra` adds tags: tag -> (TIFF type, values)."""
    height, width, channels = pixels.shape
    kind = {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]
    strip = zlib.compress(np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<")).tobytes(), 6)
    tags: dict[int, tuple[int, tuple[Any, ...]]] = {
        256: (4, (width,)),
        257: (4, (height,)),
        258: (3, (pixels.dtype.itemsize * 8,) * channels),
        259: (3, (8,)),
        262: (3, (1,)),
        273: (4, (8,)),
        277: (3, (channels,)),
        278: (4, (height,)),
        279: (4, (len(strip),)),
        284: (3, (1,)),
        **({338: (3, (0,) * (channels - 1))} if channels > 1 else {}),
        339: (3, (kind,) * channels),
        **extra,
    }
    start = 8 + len(strip) + len(strip) % 2
    rows, far = b"", b""
    for tag in sorted(tags):
        form, values = tags[tag]
        count = len(values[0]) if form == 2 else len(values)  # a text is one value of many bytes
        packed = struct.pack(f"<{count}{_FORMATS[form]}", *values)
        if len(packed) > 4:
            place = start + 2 + 12 * len(tags) + 4 + len(far)
            far += packed + b"\0" * (len(packed) % 2)
            packed = struct.pack("<I", place)
        rows += struct.pack("<HHI", tag, form, count) + packed.ljust(4, b"\0")
    head = struct.pack("<2sHI", b"II", 42, start)
    return head + strip + b"\0" * (len(strip) % 2) + struct.pack("<H", len(tags)) + rows + b"\0" * 4 + far


def zlib_bytes(raw: bytes) -> bytes:
    """Inflate; damaged data is a ValueError, as a bad picture is elsewhere."""
    try:
        return zlib.decompress(raw)
    except zlib.error as error:
        raise ValueError(str(error)) from error


def tags_of(path: Path) -> Tags:
    """The tags alone, without reading the pixels of a large file."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return _tags(data)[0]


def _tags(data: bytes | mmap.mmap) -> tuple[Tags, str]:
    """The first directory's tags -> values, and the byte order as NumPy writes it."""
    order = "<" if data[:2] == b"II" else ">"
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, start)
    tags: Tags = {}
    for row in range(start + 2, start + 2 + 12 * count, 12):
        tag, form, length = struct.unpack_from(f"{order}HHI", data, row)
        if form not in _FORMATS:
            continue
        layout = f"{order}{length}{_FORMATS[form]}"
        place = row + 8 if struct.calcsize(layout) <= 4 else struct.unpack_from(f"{order}I", data, row + 8)[0]
        tags[tag] = struct.unpack_from(layout, data, place)
    return tags, order


def _one(tags: Tags, tag: int, default: int | None = None) -> int:
    """The single value of a tag; a missing one without a default is a damaged file."""
    if tag in tags:
        return int(tags[tag][0])
    if default is None:
        raise ValueError(f"TIFF tag {tag} is missing")
    return default
