"""The packages that a board carries, pinned to the byte: `wheels.toml` beside this file, held equal to constraints.txt.

A tag names a Python and a machine: `cp310-aarch64`. A group names why a package is there: `base` and `host` always,
`jetson` where TensorRT flies, `stream` for video, recordings and overlays.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dis2_edge.errors import BoardError, WheelError
from dis2_edge.files import read_toml
from dis2_edge.settings import from_table, nearest

FILE = Path(__file__).with_name("wheels.toml")
PYTHONS, MACHINES = ("cp310", "cp311", "cp312", "cp313"), ("aarch64", "x86_64")
TAGS = tuple(f"{python}-{machine}" for python in PYTHONS for machine in MACHINES)
GROUPS = ("base", "host", "jetson", "stream")
ALWAYS = ("base", "host")
"""What every board carries: `run` and `bundle prove` need no more."""


@dataclass(frozen=True)
class Wheel:
    """One wheel file, known by its bytes."""

    filename: str
    """Its name, which says for what Python and machine it is."""
    sha256: str
    """SHA-256 in lower-case hexadecimal."""
    bytes: int
    """Size."""

    @property
    def name(self) -> str:
        """The package, as its files are named: `markdown_it_py`."""
        return self.filename.split("-")[0]

    @property
    def version(self) -> str:
        """The package's version."""
        return self.filename.split("-")[1]


@dataclass(frozen=True)
class Pin:
    """One version of a package, with the files of it that are for the boards."""

    name: str
    """As on the index."""
    version: str
    """The one that is shipped."""
    group: str
    """Why it is there."""
    wheels: tuple[Wheel, ...]
    """Its files, by name."""
    tags: tuple[str, ...] = ()
    """The tags that it is for; empty: all."""

    def __post_init__(self) -> None:
        strange = [tag for tag in self.tags if tag not in TAGS]
        if self.group not in GROUPS or strange:
            raise WheelError(f"pin of {self.name} for {strange or self.group}", expected=f"{GROUPS} and {TAGS}")

    def wheel(self, tag: str) -> Wheel:
        """The one file for `tag`."""
        found = [wheel for wheel in self.wheels if fits(wheel.filename, tag)]
        if len(found) != 1:
            raise WheelError(f"{len(found)} wheels of {self.name} {self.version} for {tag}", expected="one")
        return found[0]


@dataclass(frozen=True)
class _Table:
    pin: tuple[Pin, ...]


@functools.cache
def pins() -> tuple[Pin, ...]:
    """All pins, in the order of the file."""
    return from_table(_Table, read_toml(FILE, WheelError), where=FILE.name, error=WheelError).pin


def pinned(tag: str, extras: Sequence[str] = ()) -> tuple[Wheel, ...]:
    """The wheels of others for `tag`, by name: what every board carries, and the groups of `extras`."""
    check_tag(tag)
    for extra in extras:
        if extra not in GROUPS:
            raise WheelError(f"no packages are pinned for {extra!r}", mend=nearest(extra, GROUPS))
    groups = {*ALWAYS, *extras}
    found = [pin.wheel(tag) for pin in pins() if pin.group in groups and (not pin.tags or tag in pin.tags)]
    return tuple(sorted(found, key=lambda wheel: wheel.filename))


def check_tag(tag: str) -> str:
    """`tag` itself if packages are pinned for it; else BoardError."""
    if tag not in TAGS:
        mend = "Python 3.10 to 3.13 on aarch64 and x86_64 are served"
        raise BoardError(f"no packages are pinned for {tag!r}", expected=f"one of {', '.join(TAGS)}", mend=mend)
    return tag


def fits(filename: str, tag: str) -> bool:
    """Whether a wheel of that name installs under the Python and on the machine of `tag`."""
    python, machine = tag.split("-")
    stem = filename.removesuffix(".whl").split("-")
    if len(stem) < 5 or not filename.endswith(".whl"):
        return False
    pythons, abis, places = (part.split(".") for part in stem[-3:])
    there = places == ["any"] or any(place.endswith(f"_{machine}") for place in places)
    return there and any(_takes(python, one, abi) for one in pythons for abi in abis)


def _takes(python: str, made_for: str, abi: str) -> bool:
    if abi == "none":
        return made_for in ("py3", python)
    number = re.fullmatch(r"cp(\d)(\d+)", made_for)
    if number is None:
        return False
    minor = int(python[3:])
    return (made_for == abi == python) or (abi == "abi3" and number[1] == "3" and int(number[2]) <= minor)
