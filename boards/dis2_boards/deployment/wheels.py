"""What the wheels of a bundle ask of a board: bytes on its disk, and the age of its C library."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from dis2_boards.packing.pins import Wheel
from dis2_edge.errors import BoardError

_MANYLINUX = re.compile(r"manylinux_(\d+)_(\d+)_\w+|(manylinux1|manylinux2010|manylinux2014)_\w+")
_OLD_NAMES = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
_BLOCK = 4096


def unpacked_bytes(paths: Iterable[Path]) -> int:
    """Bytes on disk once the wheels at `paths` are installed, with what Python compiles of them."""
    total = 0
    for path in paths:
        try:
            with zipfile.ZipFile(path) as archive:
                rows = archive.infolist()
        except (zipfile.BadZipFile, OSError) as cause:
            raise BoardError(
                f"{path} is not a readable wheel ({cause})", mend="remove it and gather it again"
            ) from cause
        for row in rows:
            copies = 2 if row.filename.endswith(".py") else 1
            total += copies * (-(-row.file_size // _BLOCK) * _BLOCK)
    return total


def glibc_of(wheels: Sequence[Wheel]) -> tuple[tuple[int, int], str]:
    """The C library that the wheels need, as (major, minor), and the wheel that asks for it; (0, 0) if none does."""
    needs = [(_oldest(wheel.filename), wheel.filename) for wheel in wheels]
    return max(needs, default=((0, 0), ""))


def _oldest(filename: str) -> tuple[int, int]:
    """The oldest C library that the wheel says it runs on; one that names several tags serves the oldest of them."""
    platforms = filename.removesuffix(".whl").rpartition("-")[2].split(".")
    versions = []
    for platform in platforms:
        hit = _MANYLINUX.fullmatch(platform)
        if hit:
            versions.append(_OLD_NAMES[hit[3]] if hit[3] else (int(hit[1]), int(hit[2])))
    return min(versions, default=(0, 0))
