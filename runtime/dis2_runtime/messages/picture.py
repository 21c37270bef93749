"""What an image message says, whatever its wire format: raw pixels with their layout, or a packed picture file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

Pixels = npt.NDArray[Any]


@dataclass(frozen=True)
class Picture:
    """Raw pixels, row by row."""

    stamp_ns: int
    """When it was captured, in nanoseconds since 1970; 0 when not told."""
    height: int
    """Rows."""
    width: int
    """Pixels in a row."""
    encoding: str
    """Channels and their type in ROS's words: mono8, rgb8, 16UC1."""
    step: int
    """Bytes from one row to the next; 0 says that rows follow each other without a gap."""
    big_endian: bool
    """Order of the bytes in a value."""
    data: memoryview
    """The rows."""


@dataclass(frozen=True)
class Packed:
    """A picture file in a message."""

    stamp_ns: int
    """When it was captured, in nanoseconds since 1970; 0 when not told."""
    format: str
    """The file's format as the message names it: png, jpeg, `16UC1; png compressed`."""
    data: memoryview
    """The file."""
