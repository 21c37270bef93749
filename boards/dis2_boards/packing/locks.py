"""Locks: `wheels/TAG.lock` of a bundle names, byte for byte, what a board of that Python and machine installs.

A line is `SHA256  BYTES  FILENAME`; lines are sorted by name. The wheels themselves travel from a stock, once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from dis2_boards.packing.pins import Wheel, check_tag, fits
from dis2_edge.bundle import Bundle
from dis2_edge.errors import BundleError
from dis2_edge.files import write_text

FOLDER = "wheels"
"""The folder of locks in a bundle."""
_LINE = re.compile(r"([0-9a-f]{64})  ([1-9]\d{0,10})  ([A-Za-z0-9][A-Za-z0-9._+!-]{0,199}\.whl)")
_LIMIT = 1 << 20


def read_lock(bundle: Bundle, tag: str) -> list[Wheel]:
    """The wheels of the bundle for `tag`, by name; BundleError when it holds none for it, or a bad line."""
    name = f"{FOLDER}/{check_tag(tag)}.lock"
    if name not in bundle.manifest.files:
        mend = f"deploy it again for a board of that Python: the bundle holds {', '.join(tags_of(bundle)) or 'none'}"
        raise BundleError(f"the bundle holds no packages for {tag}", expected=name, mend=mend)
    return parse_lock(bundle.file(name).read_bytes(), name, tag)


def tags_of(bundle: Bundle) -> tuple[str, ...]:
    """The tags that the bundle holds locks for."""
    found = [path for path in bundle.manifest.files if re.fullmatch(rf"{FOLDER}/[^/]+\.lock", path)]
    return tuple(sorted(path[len(FOLDER) + 1 : -len(".lock")] for path in found))


def write_lock(folder: Path, tag: str, wheels: Iterable[Wheel]) -> Path:
    """Write the lock of `tag` into the bundle that is made in `folder`."""
    rows = sorted(wheels, key=lambda wheel: wheel.filename)
    path = folder / FOLDER / f"{tag}.lock"
    write_text(path, "".join(f"{wheel.sha256}  {wheel.bytes}  {wheel.filename}\n" for wheel in rows))
    return path


def parse_lock(text: bytes, where: str, tag: str) -> list[Wheel]:
    """The wheels that a lock names; BundleError on whatever is no line, is not for `tag`, or stands twice."""
    lines = text.decode("ascii", "replace").split("\n") if len(text) <= _LIMIT else ["too large"]
    if lines[-1] != "":
        raise BundleError(f"{where} is cut short or too large", mend="deploy the bundle again")
    found = [_wheel(line, where, tag) for line in lines[:-1]]
    names = [wheel.filename for wheel in found]
    if names != sorted(set(names)) or not any(name.startswith("dis2_edge-") for name in names):
        raise BundleError(f"{where} is no lock", expected="one line a wheel, sorted, dis2_edge among them")
    return found


def _wheel(line: str, where: str, tag: str) -> Wheel:
    match = _LINE.fullmatch(line)
    if match is None or not fits(match[3], tag):
        raise BundleError(f"{where} has the line {line[:120]!a}", expected=f"SHA256  BYTES  a wheel for {tag}")
    return Wheel(match[3], match[1], int(match[2]))
