"""`mcap:FILE?topic=/camera/image`: a topic of images in an MCAP recording of ROS 2 or Foxglove, at its recorded pace.

The run begins with the file's first message of all topics, so that the sensors of one file keep their distances.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dis2_edge.errors import DataError, SourceError
from dis2_edge.sensors import Sensor
from dis2_edge.settings import nearest
from dis2_runtime.clock import RunClock
from dis2_runtime.frames import Delivery, Frame
from dis2_runtime.messages import READERS, pixels_of
from dis2_runtime.messages.fitting import fitted
from dis2_runtime.messages.recording import Logged, Recording, Topic
from dis2_runtime.sources import Address, options_of

STAMP_LIMIT_NS = 10 * 10**9
"""A stamp that is farther than this from the log time is another clock's: the arrival is taken."""
_PROBE = 16
"""Messages from which it is told whether the writer numbers them."""


@dataclass(frozen=True)
class McapOptions:
    """What may follow the question mark of `mcap:FILE?...`."""

    topic: str = ""
    """Topic of the images; empty takes the only one that the file has."""


class McapSource:
    """The pictures of one topic. One that cannot be read is a lost frame with its reason."""

    def __init__(self, sensor: Sensor, path: Path, options: McapOptions) -> None:
        self._sensor, self._path, self._options = sensor, path, options
        self._recording: Recording | None = None
        self._messages: Iterator[Logged] = iter(())
        self._numbers = Numbers(counted=False)
        self._first_ns = self._last_due_ns = 0

    def open(self) -> None:
        """Open the file and find the topic."""
        self._recording = Recording(self._path)
        topic = chosen(self._recording.topics(self._options.topic), self._options.topic, self._path)
        self._first_ns = self._recording.first_ns()
        self._numbers = Numbers(counted=_numbered(self._recording.messages(topic)))
        self._messages = self._recording.messages(topic)

    def next(self) -> Delivery | None:
        """The next picture; None at the end of the file, SourceError where it breaks off before that."""
        logged = next(self._messages, None)
        if logged is None:
            return None
        arrival_ns = logged.time_ns - self._first_ns
        due_ns = self._last_due_ns = max(self._last_due_ns, arrival_ns)
        number = self._numbers.next(logged.sequence)
        read = READERS.get(logged.topic[1:])
        if read is None:
            return Delivery(due_ns, None, f"{logged.topic.name}: a message of type {_told(logged.topic)} amid images")
        try:
            message = read(logged.data)
            pixels = fitted(pixels_of(message), self._sensor)
        except DataError as error:
            return Delivery(due_ns, None, f"{logged.topic.name}: {error}")
        stamped = message.stamp_ns != 0 and abs(message.stamp_ns - logged.time_ns) <= STAMP_LIMIT_NS
        time_ns = message.stamp_ns - self._first_ns if stamped else due_ns
        return Delivery(due_ns, Frame(self._sensor.name, pixels, time_ns, number, stamped))

    def close(self) -> None:
        """Close the file."""
        self._messages = iter(())
        if self._recording is not None:
            self._recording.close()
            self._recording = None


class Numbers:
    """Frame numbers: the writer's where it counts, so that gaps are lost frames; else our own."""

    def __init__(self, *, counted: bool) -> None:
        self._counted = counted
        self._number = -1
        self._sequence: int | None = None

    def next(self, sequence: int) -> int:
        """The number of a message that its writer numbered `sequence`, which wraps at 32 bits."""
        step = 1 if self._sequence is None else (sequence - self._sequence) % 2**32
        self._sequence = sequence
        self._number += step if self._counted and 0 < step < 2**31 else 1
        return self._number


def chosen(topics: list[Topic], wanted: str, path: Path) -> str:
    """The name of the wanted topic, or of the only one of images; SourceError that lists what there is."""
    images = sorted({topic.name for topic in topics if topic[1:] in READERS})
    listed = "; ".join(f"{topic.name} ({_told(topic)})" for topic in topics) or "none"
    types = ", ".join(sorted({schema for schema, _ in READERS}))
    if not wanted:
        if len(images) == 1:
            return images[0]
        found = f"{path} has {len(images)} topics of images; all its topics: {listed}"
        raise SourceError(
            found, expected="one", mend=f"name it: mcap:{path}?topic=NAME" if images else f"known: {types}"
        )
    if wanted not in [topic.name for topic in topics]:
        mend = nearest(wanted, [topic.name for topic in topics])
        raise SourceError(f"{path} has no topic {wanted!r}; its topics: {listed}", mend=mend)
    if wanted not in images:
        told = next(_told(topic) for topic in topics if topic.name == wanted)
        raise SourceError(f"{path}: topic {wanted!r} is {told}", expected=f"one of {types}")
    return wanted


def _numbered(messages: Iterator[Logged]) -> bool:
    """Whether one writer numbers these: they rise, mostly by one (a count over all topics would leap)."""
    numbers, channels = [], set()
    with contextlib.suppress(SourceError):  # met again, and told, when the frames are read
        for logged in itertools.islice(messages, _PROBE):
            numbers.append(logged.sequence)
            channels.add(logged.channel)
    steps = [(after - before) % 2**32 for before, after in itertools.pairwise(numbers)]
    return len(channels) == 1 and all(0 < step < 2**31 for step in steps) and 2 * steps.count(1) > len(steps)


def _told(topic: Topic) -> str:
    return f"{topic.schema or 'without a schema'}, {topic.encoding or 'without an encoding'}"


def make(sensor: Sensor, grid: tuple[int, int], address: Address, clock: RunClock) -> McapSource:
    """The source at `address`."""
    return McapSource(sensor, address.path, options_of(McapOptions, address))
