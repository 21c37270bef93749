"""ROS 2: sensor_msgs/msg/Image and CompressedImage, in CDR."""

from __future__ import annotations

from dis2_runtime.messages.cdr import CdrCursor
from dis2_runtime.messages.picture import Packed, Picture


def image(message: bytes) -> Picture:
    """A sensor_msgs/msg/Image."""
    cursor = CdrCursor(message)
    stamp_ns = _stamp_ns(cursor)
    height, width, encoding = cursor.uint32(), cursor.uint32(), cursor.text()
    big_endian, step = cursor.uint8() != 0, cursor.uint32()
    return Picture(stamp_ns, height, width, encoding, step, big_endian, cursor.sequence())


def compressed_image(message: bytes) -> Packed:
    """A sensor_msgs/msg/CompressedImage."""
    cursor = CdrCursor(message)
    return Packed(_stamp_ns(cursor), cursor.text(), cursor.sequence())


def _stamp_ns(cursor: CdrCursor) -> int:
    """The stamp of the std_msgs/msg/Header that the message begins with."""
    stamp_ns = cursor.int32() * 10**9 + cursor.uint32()
    cursor.text()  # frame_id
    return stamp_ns
