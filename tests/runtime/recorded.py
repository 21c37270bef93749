"""Recordings for tests: MCAP files written by the mcap package, with image messages built by hand."""

from __future__ import annotations

import base64
import io
import json
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mcap.writer import CompressionType, IndexType, Writer
from PIL import Image

from dis2_runtime.messages import protobuf

START_NS = 1_760_000_000 * 10**9
ROS, ROS_COMPRESSED = ("sensor_msgs/msg/Image", "cdr"), ("sensor_msgs/msg/CompressedImage", "cdr")
FOX, FOX_COMPRESSED = ("foxglove.RawImage", "protobuf"), ("foxglove.CompressedImage", "protobuf")
FOX_JSON, FOX_COMPRESSED_JSON = ("foxglove.RawImage", "json"), ("foxglove.CompressedImage", "json")

RANDOM = np.random.default_rng(3)
COLOUR = RANDOM.integers(0, 256, (7, 5, 3), np.uint8)
ALPHA = RANDOM.integers(0, 256, (7, 5, 4), np.uint8)
GREY = RANDOM.integers(0, 256, (7, 5, 1), np.uint8)
DEEP = RANDOM.integers(0, 65536, (7, 5, 1), np.uint16)
METRES = RANDOM.normal(0, 9, (7, 5, 1)).astype(np.float32)
RAW = [
    ("mono8", GREY, GREY),
    ("8UC1", GREY, GREY),
    ("mono16", DEEP, DEEP),
    ("16UC1", DEEP, DEEP),
    ("32FC1", METRES, METRES),
    ("rgb8", COLOUR, COLOUR),
    ("bgr8", COLOUR[..., ::-1], COLOUR),
    ("rgba8", ALPHA, ALPHA),
    ("bgra8", ALPHA[..., [2, 1, 0, 3]], ALPHA),
]


class Said(NamedTuple):
    """A message to record."""

    topic: str
    kind: tuple[str, str]
    at_ms: float
    data: bytes
    sequence: int = 0


def record(path: Path, said: Iterable[Said], *, finish: bool = True, **options: Any) -> Path:
    """Write `said` in the given order; without `finish` the file has no summary and no footer."""
    with path.open("wb") as file:
        writer = Writer(file, **{"chunk_size": 4096, "compression": CompressionType.ZSTD, **options})
        writer.start(profile="ros2")
        channels: dict[str, int] = {}
        for topic, (schema, encoding), at_ms, data, sequence in said:
            if topic not in channels:
                schema_id = writer.register_schema(schema, "ros2msg" if encoding == "cdr" else encoding, b"x")
                channels[topic] = writer.register_channel(topic, encoding, schema_id)
            time_ns = START_NS + round(at_ms * 1e6)
            writer.add_message(channels[topic], time_ns, data, time_ns, sequence)
        if finish:
            writer.finish()
        else:
            writer.flush()
    return path


def without_index(path: Path, said: Iterable[Said]) -> Path:
    """A whole file of bare messages: no chunk, no index."""
    return record(path, said, use_chunking=False, index_types=IndexType.NONE)


def ros_image(
    pixels: np.ndarray, encoding: str, stamp_ns: int = 0, *, big: bool = False, pad: int = 0, frame: str = "camera"
) -> bytes:
    """sensor_msgs/msg/Image; `big` writes all of it, header and pixels, in big-endian."""
    order = ">" if big else "<"
    rows = pixels.astype(pixels.dtype.newbyteorder(order)).reshape(len(pixels), pixels[0].size)
    step = rows.shape[1] * rows.itemsize + pad
    data = b"".join(row.tobytes() + b"\xee" * pad for row in rows)
    body = _header(order, stamp_ns, frame)
    body = _pad4(body) + struct.pack(order + "II", *pixels.shape[:2])
    body = _pad4(_text(body, order, encoding) + bytes([big])) + struct.pack(order + "I", step)
    return bytes([0, 0 if big else 1, 0, 0]) + body + struct.pack(order + "I", len(data)) + data


def ros_compressed(data: bytes, form: str, stamp_ns: int = 0, *, big: bool = False) -> bytes:
    """sensor_msgs/msg/CompressedImage."""
    order = ">" if big else "<"
    body = _pad4(_text(_header(order, stamp_ns, "camera"), order, form))
    return bytes([0, 0 if big else 1, 0, 0]) + body + struct.pack(order + "I", len(data)) + data


def fox_raw(pixels: np.ndarray, encoding: str, stamp_ns: int = 0) -> bytes:
    """foxglove.RawImage in protobuf."""
    height, width = pixels.shape[:2]
    sizes = protobuf.fixed32(2, width) + protobuf.fixed32(3, height) + protobuf.fixed32(5, pixels.strides[0])
    stamp = protobuf.varint(1, stamp_ns // 10**9) + protobuf.varint(2, stamp_ns % 10**9)
    words = protobuf.chunk(1, stamp) + protobuf.chunk(7, "camera") + protobuf.chunk(4, encoding)
    return words + sizes + protobuf.chunk(6, pixels.tobytes())


def fox_raw_json(pixels: np.ndarray, encoding: str, stamp_ns: int = 0) -> bytes:
    """foxglove.RawImage in JSON."""
    height, width = pixels.shape[:2]
    table = {"timestamp": _time(stamp_ns), "frame_id": "camera", "width": width, "height": height}
    data = base64.b64encode(pixels.tobytes()).decode()
    return json.dumps({**table, "encoding": encoding, "step": pixels.strides[0], "data": data}).encode()


def fox_compressed_json(data: bytes, form: str, stamp_ns: int = 0) -> bytes:
    """foxglove.CompressedImage in JSON."""
    table = {"timestamp": _time(stamp_ns), "frame_id": "camera", "format": form}
    return json.dumps({**table, "data": base64.b64encode(data).decode()}).encode()


def picture_file(pixels: np.ndarray, form: str = "PNG", **options: Any) -> bytes:
    """A picture file of HxWxC pixels."""
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(buffer, form, **options)
    return buffer.getvalue()


def _header(order: str, stamp_ns: int, frame: str) -> bytes:
    return _text(struct.pack(order + "iI", *divmod(stamp_ns, 10**9)), order, frame)


def _text(body: bytes, order: str, text: str) -> bytes:
    data = text.encode() + b"\0"
    return _pad4(body) + struct.pack(order + "I", len(data)) + data


def _pad4(body: bytes) -> bytes:
    return body + bytes(-len(body) % 4)


def _time(stamp_ns: int) -> dict[str, int]:
    return {"sec": stamp_ns // 10**9, "nsec": stamp_ns % 10**9}
