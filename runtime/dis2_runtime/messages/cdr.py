"""CDR, the wire format of ROS 2 messages: a cursor over one message, in either byte order."""

from __future__ import annotations

import struct

from dis2_edge.errors import DataError

_HEAD = 4
_ORDERS = {0: ">", 1: "<", 6: ">", 7: "<"}
"""Byte order by the second byte of the head: plain CDR and plain CDR2, which agree on values of up to 4 bytes."""


class CdrCursor:
    """Takes values from a message in their order. DataError when it is too short or of another encoding."""

    def __init__(self, message: bytes) -> None:
        if len(message) < _HEAD or message[0] != 0 or message[1] not in _ORDERS:
            raise DataError(f"a message that begins with {message[:_HEAD].hex()}", expected="the head of plain CDR")
        self._body = memoryview(message)[_HEAD:]
        self._order = _ORDERS[message[1]]
        self._at = 0

    def uint8(self) -> int:
        """The next byte."""
        return self._take(1)[0]

    def int32(self) -> int:
        """The next signed number of 4 bytes."""
        return self._number("i")

    def uint32(self) -> int:
        """The next number of 4 bytes."""
        return self._number("I")

    def text(self) -> str:
        """The next string; what is not UTF-8 in it is replaced."""
        return bytes(self._take(self.uint32())).rstrip(b"\0").decode("utf-8", "replace")

    def sequence(self) -> memoryview:
        """The next sequence of bytes, not copied."""
        return self._take(self.uint32())

    def _number(self, kind: str) -> int:
        self._at += -self._at % 4
        (value,) = struct.unpack(self._order + kind, self._take(4))
        return int(value)

    def _take(self, length: int) -> memoryview:
        left = len(self._body) - self._at
        if length > left:
            raise DataError(f"a message that ends {length - left} bytes too early", expected="a whole one")
        self._at += length
        return self._body[self._at - length : self._at]
