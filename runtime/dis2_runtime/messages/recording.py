"""An MCAP recording that is read as far as it goes: its topics, its first moment, its messages in order, lazily.

A whole file is read through its index in order of log time. One without an index, because power was lost or its writer
left it out, is read from its beginning, chunk by chunk. Either way memory holds the chunks of one moment.
"""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple, cast

from mcap.exceptions import EndOfFile, McapError
from mcap.reader import SeekingReader
from mcap.records import Channel, Chunk, McapRecord, Message, Schema
from mcap.stream_reader import StreamReader, breakup_chunk
from mcap.summary import Summary
from zstandard import ZstdError

from dis2_edge.errors import SourceError

_MAGIC = b"\x89MCAP0\r\n"
_FOREIGN = (
    McapError,
    ZstdError,
    ValueError,
    LookupError,
    TypeError,
    struct.error,
    OSError,
    RuntimeError,
    ArithmeticError,
)
"""What the libraries raise on damaged bytes; lz4 raises RuntimeError."""


class Topic(NamedTuple):
    """A topic as one of its channels declares it."""

    name: str
    """Such as /camera/image."""
    schema: str
    """Name of the message type; empty when none is told."""
    encoding: str
    """Wire format: cdr, protobuf, json."""


class Logged(NamedTuple):
    """One message."""

    topic: Topic
    """Where it was published."""
    channel: int
    """Number of its channel: several writers may share a topic."""
    time_ns: int
    """Log time."""
    sequence: int
    """The writer's number; many writers leave it 0."""
    data: bytes
    """The message."""


class Recording:
    """An open file. What cannot be read is a SourceError, after everything before it was given."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = _Whole(path.open("rb"))
        except OSError as error:
            raise SourceError(f"{path} cannot be opened ({error.strerror})", expected="an MCAP file") from error
        with self._closing_on_error(), self._damage("its first bytes cannot be read"):
            if self._file.left < len(_MAGIC) or self._file.read(len(_MAGIC)) != _MAGIC:
                raise SourceError(f"{path} is no MCAP file", expected="a recording that begins with MCAP's magic")
        summary = self._read_summary()
        self.indexed = summary is not None
        """Whether it is whole enough to be read through its index."""
        self._topics = set() if summary is None else {_topic(row, summary.schemas) for row in summary.channels.values()}
        rows = [] if summary is None else summary.chunk_indexes
        self._first_ns = min((row.message_start_time for row in rows if row.message_end_time), default=0)

    def topics(self, wanted: str = "") -> list[Topic]:
        """Its topics; of a file without index only those up to `wanted`, or up to where it breaks off."""
        channels: dict[int, Channel] = {}
        schemas: dict[int, Schema] = {}
        if self.indexed:
            return sorted(self._topics)
        with contextlib.suppress(SourceError):  # met again, and told, when the messages are read
            for _ in self._groups(channels, schemas):
                if any(channel.topic == wanted for channel in channels.values()):
                    break
        return sorted({_topic(channel, schemas) for channel in channels.values()})

    def first_ns(self) -> int:
        """Log time of the first message of all topics; 0 without any."""
        if self.indexed:
            return self._first_ns
        with contextlib.suppress(SourceError):
            for messages in self._groups({}, {}):
                if messages:
                    return messages[0].log_time
        return 0

    def messages(self, topic: str) -> Iterator[Logged]:
        """The messages of `topic`; SourceError where the file is damaged or breaks off."""
        return self._by_index(topic) if self.indexed else self._from_beginning(topic)

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._file.close()

    def _by_index(self, topic: str) -> Iterator[Logged]:
        with self._damage("a chunk is damaged"):
            file = cast("IO[bytes]", self._rewound())
            reader = SeekingReader(file, validate_crcs=True, record_size_limit=self._file.size)
            for schema, channel, message in reader.iter_messages([topic]):
                yield _logged(message, channel, {} if schema is None else {schema.id: schema})

    def _from_beginning(self, topic: str) -> Iterator[Logged]:
        channels: dict[int, Channel] = {}
        schemas: dict[int, Schema] = {}
        for messages in self._groups(channels, schemas):
            for message in messages:
                channel = channels.get(message.channel_id)
                if channel is not None and channel.topic == topic:
                    yield _logged(message, channel, schemas)

    def _groups(self, channels: dict[int, Channel], schemas: dict[int, Schema]) -> Iterator[list[Message]]:
        """The messages of each chunk by log time; channels and schemas are put into the given tables."""
        self._file.seek(0)
        with self._damage("it is damaged"):
            for record in StreamReader(cast("IO[bytes]", self._file), emit_chunks=True).records:
                messages = []
                for part in _parts(record):
                    if isinstance(part, Schema):
                        schemas[part.id] = part
                    elif isinstance(part, Channel):
                        channels[part.id] = part
                    elif isinstance(part, Message):
                        messages.append(part)
                yield sorted(messages, key=lambda message: message.log_time)

    def _read_summary(self) -> Summary | None:
        """The summary if it can lead to every message."""
        try:
            reader = SeekingReader(cast("IO[bytes]", self._rewound()), record_size_limit=self._file.size)
            summary = reader.get_summary()
        except _FOREIGN:
            return None
        if summary is None or not summary.chunk_indexes:
            return None
        named = {number for row in summary.chunk_indexes for number in row.message_index_offsets}
        told = all(channel.schema_id in summary.schemas for channel in summary.channels.values() if channel.schema_id)
        return summary if told and summary.channels and named <= summary.channels.keys() else None

    def _rewound(self) -> _Whole:
        self._file.seek(0)
        return self._file

    @contextlib.contextmanager
    def _damage(self, what: str) -> Iterator[None]:
        """Turn what the libraries raise into a SourceError."""
        mend = "`mcap recover` makes it whole again, without what is lost"
        try:
            yield
        except EndOfFile as error:
            raise SourceError(f"{self._path} breaks off: it was cut short", mend=mend) from error
        except (*_FOREIGN, MemoryError) as error:
            raise SourceError(f"{self._path}: {what} ({error or type(error).__name__})", mend=mend) from error

    @contextlib.contextmanager
    def _closing_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._file.close()
            raise


class _Whole:
    """A file of which each read gives all that was asked for, or EndOfFile: no length in it is believed."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self.size = file.seek(0, io.SEEK_END)
        file.seek(0)

    @property
    def left(self) -> int:
        """Bytes from here to the end."""
        return self.size - self._file.tell()

    def read(self, length: int = -1) -> bytes:
        if length > self.left:
            raise EndOfFile
        return self._file.read(length)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()


def _parts(record: McapRecord) -> Iterable[McapRecord]:
    return breakup_chunk(record, validate_crc=True) if isinstance(record, Chunk) else [record]


def _topic(channel: Channel, schemas: dict[int, Schema]) -> Topic:
    schema = schemas.get(channel.schema_id)
    return Topic(channel.topic, "" if schema is None else schema.name, channel.message_encoding)


def _logged(message: Message, channel: Channel, schemas: dict[int, Schema]) -> Logged:
    return Logged(_topic(channel, schemas), message.channel_id, message.log_time, message.sequence, message.data)
