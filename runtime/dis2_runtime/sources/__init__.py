"""Sources, one file each, named by a URI `SCHEME:PLACE?option=value`; `make_source` knows them all.

A source of recorded or simulated frames says by itself when each arrives, on the run's clock, and never sleeps: in real
time the sensor's thread waits until then, in simulated time the clock is set there. So one source serves both. A *live*
source waits for its device and tells the time of arrival by the run's clock; it flies in real time only.
"""

from __future__ import annotations

import importlib
import re
import typing
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar, cast

from dis2_edge.errors import SourceError
from dis2_edge.sensors import Sensor
from dis2_edge.settings import from_table, nearest
from dis2_runtime.clock import RunClock
from dis2_runtime.frames import Delivery
from dis2_runtime.poses.track import PoseTrack

__all__ = ["SCHEMES", "Address", "Scheme", "Source", "is_live", "make_source", "options_of", "parse", "shown"]

T = TypeVar("T")


class Scheme(NamedTuple):
    """A kind of source."""

    module: str
    """Module below dis2_runtime.sources with `make(sensor, grid, address, clock) -> Source`."""
    usage: str
    """How its URI is written."""
    summary: str
    """What it gives, for lists."""
    live: bool = False
    """Whether it waits for a device and so flies in real time only; a module whose places differ has `is_live`."""
    whole: bool = False
    """Whether all that follows the colon is the place: the module finds its options itself."""
    posed: bool = False
    """Whether its `make` takes the track of poses as well."""


SCHEMES = {
    "folder": Scheme("folder", "folder:DIR", "pictures of a folder, in name order at the sensor's rate"),
    "flight": Scheme("flight", "flight:DIR", "a simulated flight over the scene DIR/SENSOR.png or .tif"),
    "video": Scheme("video", "video:FILE or video:URL", "a video file, or live RTSP, UDP, TCP or HTTP", whole=True),
    "mcap": Scheme("mcap", "mcap:FILE?topic=NAME", "a topic of images in a recording of ROS 2 or Foxglove"),
    "v4l2": Scheme("v4l2", "v4l2:/dev/videoN", "a camera of this computer, by its driver", live=True),
    "gst": Scheme("gst", "gst:PIPELINE", "a GStreamer pipeline, live; our sink ends it", live=True, whole=True),
    "scene": Scheme("scene", "scene:FILE", "a big raster, window by window, its rows to and fro"),
    "dem": Scheme("dem", "dem:FILE", "terrain, cut by the poses of the rig", posed=True),
    "python": Scheme("python", "python:MODULE:FUNCTION", "a user's iterator", live=True),
}
_VIDEO_URLS = ("rtsp", "rtsps", "udp", "tcp", "http", "https")
_LOGIN = re.compile(r"(?<=://)\S*@")
_SECRET = re.compile(
    r"(?i)((?:user-(?:id|pw)|proxy-pw|pass|passw(?:or)?d|pwd|passphrase|token|secret|key|auth|signature)\s*=\s*)"
    r"(\"[^\"]*\"|[^\s&#!;]+)"
)


class Source(Protocol):
    """One sensor's frames, in order of arrival."""

    def open(self) -> None:
        """Get ready; a SourceError says what is missing.

        A live source checks its words and packages here and no more: it reaches for its device in `next`, again and
        again, so that a camera that is not there yet keeps nobody on the ground.
        """

    def next(self) -> Delivery | None:
        """The next delivery; None when the source has come to its end.

        A live source comes back within 200 ms, with an empty delivery when nothing came; what it cannot reach or read
        is the delivery's `problem`.
        """

    def close(self) -> None:
        """Let go of everything; may be called twice."""


@dataclass(frozen=True)
class Address:
    """A source URI in its parts."""

    uri: str
    """As typed, for messages, but for credentials."""
    scheme: str
    """Which kind of source."""
    place: str
    """What stands between the colon and the question mark."""
    options: dict[str, str]
    """What stands after the question mark."""
    base: Path = Path()
    """Folder that a relative place starts from."""

    @property
    def path(self) -> Path:
        """The place as a file or folder."""
        return self.base / self.place


def parse(uri: str, base: Path = Path()) -> Address:
    """The parts of `uri`; a relative place is taken below `base`. SourceError on an unknown scheme or no place."""
    name, colon, rest = uri.partition(":")
    if name not in SCHEMES or not colon:
        known = ", ".join(f"{scheme}:" for scheme in SCHEMES)
        raise SourceError(f"source {shown(uri)!r} has no known scheme", expected=f"one of {known}", mend=_meant(name))
    scheme = SCHEMES[name]
    place, _, query = (rest, "", "") if scheme.whole else rest.partition("?")
    if not place:
        raise SourceError(f"source {shown(uri)!r} names no place", expected=scheme.usage)
    return Address(shown(uri), name, place, dict(urllib.parse.parse_qsl(query, keep_blank_values=True)), base)


def shown(uri: str) -> str:
    """`uri` without the user, password or token that it may hold: what messages, logs and summaries say."""
    return _SECRET.sub(r"\1***", _LOGIN.sub("***@", uri))


def is_live(address: Address) -> bool:
    """Whether the source at `address` waits for a device and so flies in real time only."""
    decide = getattr(_module(address), "is_live", None)
    return bool(decide(address)) if decide else SCHEMES[address.scheme].live


def make_source(
    sensor: Sensor,
    grid: tuple[int, int],
    address: Address,
    clock: RunClock | None = None,
    track: PoseTrack | None = None,
) -> Source:
    """The source at `address` for `sensor`, not opened yet; SourceError on an option that it does not know.

    `clock` is the run's: a live source tells by it when its frames arrive. `track` is where the aircraft flies.
    """
    posed = (track,) if SCHEMES[address.scheme].posed else ()
    return cast(Source, _module(address).make(sensor, grid, address, clock or RunClock(), *posed))


def options_of(cls: type[T], address: Address) -> T:
    """The options of `address` as the dataclass `cls`, whose fields are int, float, bool, str or a tuple of int."""
    hints = typing.get_type_hints(cls)
    table: dict[str, Any] = {}
    for key, text in address.options.items():
        try:
            table[key] = _value(text, hints.get(key, str))
        except (ValueError, KeyError) as error:
            raise SourceError(f"{address.uri!r}: {key} is {text!r}", expected=_words(hints[key])) from error
    return from_table(cls, table, where=f"source {address.uri!r}", error=SourceError)


def _module(address: Address) -> Any:
    return importlib.import_module(f"dis2_runtime.sources.{SCHEMES[address.scheme].module}")


def _value(text: str, hint: Any) -> Any:
    if hint is bool:
        return {"1": True, "true": True, "0": False, "false": False}[text.lower()]
    if hint in (int, float):
        return hint(text)
    if typing.get_origin(hint) is tuple:
        return tuple(int(part) for part in text.split(","))
    return text


def _words(hint: Any) -> str:
    return {bool: "0 or 1", int: "a whole number", float: "a number"}.get(hint, "whole numbers with commas between")


def _meant(scheme: str) -> str:
    if Path(scheme).is_dir():
        return f"to read the pictures of that folder: folder:{scheme}"
    if scheme.lower() in _VIDEO_URLS:
        return f"for a live video: video:{scheme}:..."
    return nearest(scheme, SCHEMES)
