"""Image messages of recordings, one file a wire format: what a message says of its picture, and its pixels.

Every byte here is foreign: a message that is damaged or of an unknown make is a DataError, never a crash.
"""

from __future__ import annotations

from collections.abc import Callable

from dis2_runtime.messages import foxglove, ros2
from dis2_runtime.messages.packed import unpack
from dis2_runtime.messages.picture import Packed, Picture, Pixels
from dis2_runtime.messages.raw import arrange

__all__ = ["READERS", "Packed", "Picture", "pixels_of"]

READERS: dict[tuple[str, str], Callable[[bytes], Picture | Packed]] = {
    ("sensor_msgs/msg/Image", "cdr"): ros2.image,
    ("sensor_msgs/msg/CompressedImage", "cdr"): ros2.compressed_image,
    ("foxglove.RawImage", "protobuf"): foxglove.raw_image,
    ("foxglove.CompressedImage", "protobuf"): foxglove.compressed_image,
    ("foxglove.RawImage", "json"): foxglove.raw_image_json,
    ("foxglove.CompressedImage", "json"): foxglove.compressed_image_json,
}
"""What reads a message, by the name of its schema and its encoding."""


def pixels_of(message: Picture | Packed) -> Pixels:
    """The pixels as HxWxC uint8, uint16 or float32, colours as red, green, blue (, alpha)."""
    return arrange(message) if isinstance(message, Picture) else unpack(message)
