"""An MCAP file that survives a pulled battery: chunk after chunk, each of which is written whole or taken back.

Schemas and channels stand before the chunks and in none of them, so that a lost chunk takes only its own messages. The
index of a flight of hours is kept as bytes, about 100 a chunk.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import zstandard
from mcap.data_stream import RecordBuilder
from mcap.opcode import Opcode
from mcap.records import (
    Channel,
    Chunk,
    ChunkIndex,
    DataEnd,
    Footer,
    Header,
    McapRecord,
    Message,
    MessageIndex,
    Schema,
    Statistics,
    SummaryOffset,
)

from dis2_edge import __version__
from dis2_edge.files import storage_errors

_MAGIC = b"\x89MCAP0\r\n"
_LEVEL = 1
"""Of Zstandard: pictures are packed already, rows of telemetry shrink to a fifth even so."""
_FOOTER_HEAD = 1 + 8 + 8 + 8
"""Bytes of the footer that its checksum counts: opcode, length, two places."""


class McapFile:
    """Open for one flight. Failures of the disk are StorageErrors: a chunk is lost then, and the file goes on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._declared: list[McapRecord] = []
        self._index = bytearray()
        self._chunks = 0
        self._counts: dict[int, int] = {}
        self._first_ns = self._last_ns = 0
        self._begin_chunk()
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        self._size = 0
        self._append(_MAGIC + _bytes_of(Header("", f"dis2-edge {__version__}")))

    def channel(self, topic: str, encoding: str, schema: str, schema_encoding: str, described: bytes) -> int:
        """Declare a topic; returns the number for `add`. `described` is the schema's text or descriptor."""
        number = len(self._counts) + 1
        rows: list[McapRecord] = [
            Schema(id=number, data=described, encoding=schema_encoding, name=schema),
            Channel(id=number, topic=topic, message_encoding=encoding, metadata={}, schema_id=number),
        ]
        self._append(_bytes_of(*rows))
        self._declared += rows
        self._counts[number] = 0
        return number

    def add(self, channel: int, log_ns: int, sequence: int, data: bytes) -> None:
        """Put a message into the open chunk."""
        self._offsets.setdefault(channel, []).append((log_ns, self._open.count))
        Message(channel, log_ns, data, log_ns, sequence % 2**32).write(self._open)

    def sync(self) -> None:
        """Close the open chunk, if it holds anything, and wait until it is on the disk."""
        if not self._offsets:
            return
        try:
            self._write_chunk()
            with storage_errors(self._path):
                os.fdatasync(self._file)
        finally:
            self._begin_chunk()

    def close(self) -> None:
        """Write the last chunk, the summary and the footer; may be called twice."""
        if self._file < 0:
            return
        try:
            self.sync()
            self._append(_bytes_of(DataEnd(0)))
            self._append(self._summary())
            with storage_errors(self._path):
                os.fdatasync(self._file)
        finally:
            os.close(self._file)
            self._file = -1

    def _begin_chunk(self) -> None:
        self._open = RecordBuilder()
        self._offsets: dict[int, list[tuple[int, int]]] = {}

    def _write_chunk(self) -> None:
        """Append the open chunk and its index, and only then count its messages."""
        times = [time_ns for rows in self._offsets.values() for time_ns, _ in rows]
        first, last, plain = min(times), max(times), self._open.end()
        packed = zstandard.compress(plain, _LEVEL)
        chunk = _bytes_of(Chunk("zstd", packed, last, first, zlib.crc32(plain), len(plain)))
        start, places, indexes = self._size, {}, bytearray()
        for channel, rows in self._offsets.items():
            places[channel] = start + len(chunk) + len(indexes)
            indexes += _bytes_of(MessageIndex(channel, rows))
        self._append(chunk + indexes)
        row = ChunkIndex(
            len(chunk), start, "zstd", len(packed), last, len(indexes), places, first, uncompressed_size=len(plain)
        )
        self._index += _bytes_of(row)
        self._first_ns = min(first, self._first_ns) if self._chunks else first
        self._last_ns, self._chunks = max(last, self._last_ns), self._chunks + 1
        for channel, rows in self._offsets.items():
            self._counts[channel] += len(rows)

    def _append(self, data: bytes) -> None:
        """Write all of `data`, or leave the file as it was."""
        with storage_errors(self._path):
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(self._file, rest) :]
            except OSError:
                os.ftruncate(self._file, self._size)
                os.lseek(self._file, self._size, os.SEEK_SET)
                raise
        self._size += len(data)

    def _summary(self) -> bytes:
        """Schemas, channels, counts, the index of the chunks, and the footer that leads to them."""
        schemas = _bytes_of(*(row for row in self._declared if isinstance(row, Schema)))
        channels = _bytes_of(*(row for row in self._declared if isinstance(row, Channel)))
        groups = [
            (Opcode.SCHEMA, schemas),
            (Opcode.CHANNEL, channels),
            (Opcode.STATISTICS, _bytes_of(self._statistics())),
        ]
        summary, offsets = b"", b""
        for opcode, group in [*groups, (Opcode.CHUNK_INDEX, bytes(self._index))]:
            offsets += _bytes_of(
                SummaryOffset(group_opcode=opcode, group_start=self._size + len(summary), group_length=len(group))
            )
            summary += group
        footer = Footer(self._size, self._size + len(summary), 0)
        checksum = zlib.crc32(summary + offsets + _bytes_of(footer)[:_FOOTER_HEAD])
        footer.summary_crc = checksum
        return summary + offsets + _bytes_of(footer) + _MAGIC

    def _statistics(self) -> Statistics:
        return Statistics(
            attachment_count=0,
            channel_count=len(self._counts),
            channel_message_counts=self._counts,
            chunk_count=self._chunks,
            message_count=sum(self._counts.values()),
            message_end_time=self._last_ns,
            message_start_time=self._first_ns,
            metadata_count=0,
            schema_count=len(self._counts),
        )


def _bytes_of(*records: McapRecord) -> bytes:
    builder = RecordBuilder()
    for record in records:
        record.write(builder)
    data: bytes = builder.end()
    return data
