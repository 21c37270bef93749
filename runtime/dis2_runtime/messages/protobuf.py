"""Protocol buffers, as much as image messages need: the fields of a message, and fields to write one."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from dis2_edge.errors import DataError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_MOST_DIGITS = 10


def fields(message: bytes | memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """Number, wire type and value of each field, in order: a number, or bytes that are not copied.

    DataError on what is cut short or no such message.
    """
    data, at = memoryview(message), 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, at = _varint(data, at)
            yield number, wire, value
            continue
        length = {FIXED64: 8, FIXED32: 4}.get(wire)
        if wire == BYTES:
            length, at = _varint(data, at)
        if length is None or number == 0:
            raise DataError(f"field {number} of wire type {wire}", expected="a protobuf message")
        if at + length > len(data):
            raise DataError("a protobuf message that ends too early", expected="a whole one")
        piece = data[at : at + length]
        at += length
        yield number, wire, piece if wire == BYTES else int.from_bytes(piece, "little")


def signed(value: int) -> int:
    """A varint as the int32 or int64 that it stands for."""
    return value - 2**64 if value >= 2**63 else value


def varint(number: int, value: int) -> bytes:
    """A field of a number from 0."""
    return _digits(number << 3 | VARINT) + _digits(value)


def fixed32(number: int, value: int) -> bytes:
    """A field of a fixed32 number."""
    return _digits(number << 3 | FIXED32) + struct.pack("<I", value)


def chunk(number: int, value: bytes | str) -> bytes:
    """A field of bytes, text or a message."""
    data = value.encode() if isinstance(value, str) else value
    return _digits(number << 3 | BYTES) + _digits(len(data)) + data


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """The number at `at`, and where it ends."""
    value = 0
    for place, digit in enumerate(data[at : at + _MOST_DIGITS]):
        value |= (digit & 0x7F) << 7 * place
        if digit < 0x80:
            return value & (2**64 - 1), at + place + 1
    raise DataError("a protobuf number without end", expected="a whole message")


def _digits(value: int) -> bytes:
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)
