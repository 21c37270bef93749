"""Foxglove: RawImage and CompressedImage, in protobuf and in JSON; and the CompressedImage that we write.

The numbers of the fields are those of Foxglove's published schemas; tests/runtime/sinks/test_mcap_sink.py tells how
they were checked against them.
"""

from __future__ import annotations

import base64
import json
from typing import Any, TypeVar

from dis2_edge.errors import DataError
from dis2_runtime.messages import protobuf
from dis2_runtime.messages.picture import Packed, Picture

_RAW = {1: "timestamp", 2: "width", 3: "height", 4: "encoding", 5: "step", 6: "data"}
_COMPRESSED = {1: "timestamp", 2: "data", 3: "format"}
_TIME = {1: "seconds", 2: "nanos"}
_T = TypeVar("_T")


def raw_image(message: bytes) -> Picture:
    """A foxglove.RawImage in protobuf."""
    found = _fields(message, _RAW)
    return Picture(
        stamp_ns=_stamp_ns(found),
        height=_of(found, "height", 0),
        width=_of(found, "width", 0),
        encoding=_text(found, "encoding"),
        step=_of(found, "step", 0),
        big_endian=False,
        data=_of(found, "data", memoryview(b"")),
    )


def compressed_image(message: bytes) -> Packed:
    """A foxglove.CompressedImage in protobuf."""
    found = _fields(message, _COMPRESSED)
    return Packed(_stamp_ns(found), _text(found, "format"), _of(found, "data", memoryview(b"")))


def raw_image_json(message: bytes) -> Picture:
    """A foxglove.RawImage in JSON, its data in base 64."""
    table = _table(message)
    height, width, step = (_of(table, key, 0) for key in ("height", "width", "step"))
    return Picture(_stamp_ns_json(table), height, width, _of(table, "encoding", ""), step, False, _data(table))


def compressed_image_json(message: bytes) -> Packed:
    """A foxglove.CompressedImage in JSON, its data in base 64."""
    table = _table(message)
    return Packed(_stamp_ns_json(table), _of(table, "format", ""), _data(table))


def write_compressed_image(stamp_ns: int, frame_id: str, form: str, data: bytes) -> bytes:
    """A foxglove.CompressedImage in protobuf."""
    seconds, nanos = divmod(stamp_ns, 10**9)
    stamp = protobuf.varint(1, seconds) + protobuf.varint(2, nanos)
    words = protobuf.chunk(3, form) + protobuf.chunk(4, frame_id)
    return protobuf.chunk(1, stamp) + words + protobuf.chunk(2, data)


def compressed_image_schema() -> bytes:
    """The FileDescriptorSet of foxglove.CompressedImage, which stands in a recording beside its messages."""
    int32, int64, text, data, inner = 5, 3, 9, 12, 11
    time_file, time_type = "google/protobuf/timestamp.proto", ".google.protobuf.Timestamp"
    stamp = _message_type("Timestamp", [("seconds", 1, int64, ""), ("nanos", 2, int32, "")])
    rows = [
        ("timestamp", 1, inner, time_type),
        ("frame_id", 4, text, ""),
        ("data", 2, data, ""),
        ("format", 3, text, ""),
    ]
    image = _message_type("CompressedImage", rows)
    return protobuf.chunk(1, _file(time_file, "google.protobuf", "", stamp)) + protobuf.chunk(
        1, _file("foxglove/CompressedImage.proto", "foxglove", time_file, image)
    )


def _file(name: str, package: str, needs: str, message_type: bytes) -> bytes:
    """A FileDescriptorProto of one message."""
    head = protobuf.chunk(1, name) + protobuf.chunk(2, package) + (protobuf.chunk(3, needs) if needs else b"")
    return head + protobuf.chunk(4, message_type) + protobuf.chunk(12, "proto3")


def _message_type(name: str, rows: list[tuple[str, int, int, str]]) -> bytes:
    """A DescriptorProto; rows are name, number, type and, of a message, the type's name."""
    once = 1
    described = protobuf.chunk(1, name)
    for field, number, kind, type_name in rows:
        row = protobuf.chunk(1, field) + protobuf.varint(3, number) + protobuf.varint(4, once)
        row += protobuf.varint(5, kind) + (protobuf.chunk(6, type_name) if type_name else b"")
        described += protobuf.chunk(2, row)
    return described


def _fields(message: bytes | memoryview, names: dict[int, str]) -> dict[str, Any]:
    """The fields of `names` that the message holds, the last of each."""
    return {names[number]: value for number, _, value in protobuf.fields(message) if number in names}


def _of(table: dict[str, Any], key: str, default: _T) -> _T:
    """A value of the default's type."""
    value = table.get(key, default)
    if type(value) is not type(default):
        raise DataError(f"{key} is a {type(value).__name__}", expected=type(default).__name__)
    return value


def _text(found: dict[str, Any], key: str) -> str:
    return bytes(_of(found, key, memoryview(b""))).decode("utf-8", "replace")


def _stamp_ns(found: dict[str, Any]) -> int:
    stamp = _fields(_of(found, "timestamp", memoryview(b"")), _TIME)
    return protobuf.signed(_of(stamp, "seconds", 0)) * 10**9 + protobuf.signed(_of(stamp, "nanos", 0))


def _table(message: bytes) -> dict[str, Any]:
    try:
        table = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise DataError(f"a message that is no JSON ({error})") from error
    if not isinstance(table, dict):
        raise DataError(f"a JSON {type(table).__name__}", expected="an object")
    return table


def _stamp_ns_json(table: dict[str, Any]) -> int:
    stamp: dict[str, Any] = _of(table, "timestamp", {})
    return _of(stamp, "sec", 0) * 10**9 + _of(stamp, "nsec", 0)


def _data(table: dict[str, Any]) -> memoryview:
    try:
        return memoryview(base64.b64decode(_of(table, "data", ""), validate=True))
    except ValueError as error:
        raise DataError(f"data is not base 64 ({error})") from error
