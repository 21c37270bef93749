"""The wheels of one Python and machine: which a bundle asks for, where they lie here, what they ask of a board."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dis2_edge.bundle import Bundle
from dis2_edge.errors import BoardError, BundleError

_LINE = re.compile(r"([0-9a-f]{64})  (\d{1,12})  ([A-Za-z0-9_][A-Za-z0-9_.+!-]*\.whl)")
_LOCK = re.compile(r"wheels/(cp3\d+-[a-z0-9_]+)\.lock")
_MANYLINUX = re.compile(r"manylinux_(\d+)_(\d+)_\w+|(manylinux1|manylinux2010|manylinux2014)_\w+")
_OLD_NAMES = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
_BLOCK = 4096


@dataclass(frozen=True)
class Wheel:
    """A wheel that a lock names."""

    filename: str
    """Its file's name."""
    sha256: str
    """Its hash."""
    bytes: int
    """Its size."""


def tags_of(bundle: Bundle) -> tuple[str, ...]:
    """The tags that the bundle has locks of wheels for: cp310-aarch64."""
    hits = (_LOCK.fullmatch(name) for name in sorted(bundle.manifest.files))
    return tuple(hit[1] for hit in hits if hit)


def read_lock(bundle: Bundle, tag: str) -> list[Wheel]:
    """The wheels that the bundle's lock for `tag` names."""
    name = f"wheels/{tag}.lock"
    if name not in bundle.manifest.files:
        raise BundleError(f"the bundle has no {name}", expected=f"one of {', '.join(tags_of(bundle)) or 'none'}")
    wheels = []
    for line in bundle.file(name).read_text("utf-8").splitlines():
        hit = _LINE.fullmatch(line)
        if hit is None:
            raise BundleError(
                f"{name}: {line[:80]!r}", expected="SHA256  BYTES  FILENAME", mend="pack the bundle again"
            )
        wheels.append(Wheel(hit[3], hit[1], int(hit[2])))
    return wheels


def find(wheels: Iterable[Wheel], folder: Path) -> dict[str, Path]:
    """Hash -> file of each wheel below `folder`; BoardError names those that are not there, or of another size."""
    there = {path.name: path for path in sorted(folder.glob("**/*.whl"))} if folder.is_dir() else {}
    found, lacking = {}, []
    for wheel in wheels:
        path = there.get(wheel.filename)
        if path is None or path.stat().st_size != wheel.bytes:
            lacking.append(wheel.filename)
        else:
            found[wheel.sha256] = path
    if lacking:
        raise BoardError(
            f"{len(lacking)} wheels of the bundle's lock are not in {folder}: {', '.join(lacking[:5])}",
            mend="deploy the quantised run in place of the bundle, which gathers them, or name their folder: "
            "--wheels DIR",
        )
    return found


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
