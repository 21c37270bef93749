"""Sources, one file each, named by a URI `SCHEME:PLACE?option=value`; `make_source` knows them all.

A source says by itself when each frame arrives, on the run's clock, and never sleeps: in real time the sensor's thread
waits until then, in simulated time the clock is set there. So one source serves both.
"""

from __future__ import annotations

import typing
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from dis2_edge.errors import SourceError
from dis2_edge.sensors import Sensor
from dis2_edge.settings import from_table, nearest
from dis2_runtime.frames import Delivery

__all__ = ["SCHEMES", "Address", "Source", "make_source", "options_of", "parse"]

T = TypeVar("T")
SCHEMES = {
    "folder": "pictures of a folder, in name order at the sensor's rate",
    "flight": "a simulated flight: a window that moves over the scene DIR/SENSOR.png or .tif",
}


class Source(Protocol):
    """One sensor's frames, in order of arrival."""

    def open(self) -> None:
        """Get ready; a SourceError says what is missing."""

    def next(self) -> Delivery | None:
        """The next delivery; None when the source has come to its end."""

    def close(self) -> None:
        """Let go of everything; may be called twice."""


@dataclass(frozen=True)
class Address:
    """A source URI in its parts."""

    uri: str
    """As typed, for messages."""
    scheme: str
    """Which kind of source."""
    place: Path
    """Folder or file."""
    options: dict[str, str]
    """What stands after the question mark."""


def parse(uri: str, base: Path = Path()) -> Address:
    """The parts of `uri`; a relative place is taken below `base`. SourceError on an unknown scheme or no place."""
    scheme, colon, rest = uri.partition(":")
    if scheme not in SCHEMES or not colon:
        known = ", ".join(f"{name}:" for name in SCHEMES)
        raise SourceError(f"source {uri!r} has no known scheme", expected=f"one of {known}", mend=_meant(scheme))
    place, _, query = rest.partition("?")
    if not place:
        raise SourceError(f"source {uri!r} names no folder", expected=f"{scheme}:DIR")
    return Address(uri, scheme, base / place, dict(urllib.parse.parse_qsl(query, keep_blank_values=True)))


def make_source(sensor: Sensor, grid: tuple[int, int], address: Address) -> Source:
    """The source at `address` for `sensor`, not opened yet; SourceError on an option that it does not know."""
    from dis2_runtime.sources.flight import FlightOptions, FlightSource
    from dis2_runtime.sources.folder import FolderOptions, FolderSource

    if address.scheme == "folder":
        return FolderSource(sensor, address.place, options_of(FolderOptions, address))
    return FlightSource(sensor, grid, address.place, options_of(FlightOptions, address))


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
    return nearest(scheme, SCHEMES)
