"""Sources for tests: opened by their URI, drawn from until they end."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import numpy as np
from tiny_bundle import RGB, ground

from dis2_edge.errors import SourceError
from dis2_runtime.frames import Delivery, Frame
from dis2_runtime.sources import Source, make_source, parse
from dis2_runtime.sources.live import Grab, Link

ROOTS = [Path(__file__).parents[2] / name for name in (".", "train", "quantize", "boards", "runtime")]
GRID = (24, 32)
PICTURES = [ground(RGB, GRID, np.random.default_rng(seed)) for seed in range(12)]


def opened(uri: str, sensor=RGB, grid=GRID) -> Source:
    source = make_source(sensor, grid, parse(uri))
    source.open()
    return source


def deliveries(source: Source, most: int = 50) -> list[Delivery]:
    drawn = (source.next() for _ in range(most))
    return [delivery for delivery in drawn if delivery is not None]


def frames(source: Source, most: int = 50) -> list[Frame]:
    return [delivery.frame for delivery in deliveries(source, most) if delivery.frame is not None]


def drawn_from(uri: str, sensor=RGB, most: int = 50) -> list[Delivery]:
    source = make_source(sensor, GRID, parse(uri))
    with contextlib.closing(source):
        source.open()
        found = (source.next() for _ in range(most))
        return [delivery for delivery in found if delivery is not None]


def flight_words(scene: Path, *names: str) -> list[str]:
    return [word for name in names or ("rgb", "ndsm") for word in ("--source", f"{name}=flight:{scene}")]


def grabbed(link: Link, most: int) -> tuple[list[Grab], str]:
    """Up to `most` grabs of one connection, and why it ended."""
    found: list[Grab] = []
    with contextlib.closing(link.grabs(threading.Event())) as taken:
        try:
            for grab in taken:
                found.append(grab)
                if len(found) == most:
                    return found, ""
        except SourceError as error:
            return found, str(error)
    return found, ""
