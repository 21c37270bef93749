"""Names of files in a bundle: such that stay within it, and are one file, on every system that it is copied to."""

from __future__ import annotations

import re
from collections.abc import Iterable

from dis2_edge.errors import BundleError

LONGEST, DEEPEST = 240, 8
_SAFE_PART = re.compile(r"[A-Za-z0-9_+-](?:[A-Za-z0-9._+-]*[A-Za-z0-9_+-])?")
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)


def safe_path(path: str) -> str:
    """`path` itself if it stays within the bundle on every system; else BundleError."""
    parts = path.split("/")
    if len(path) > LONGEST or len(parts) > DEEPEST or not all(map(_is_safe, parts)):
        raise BundleError(f"unsafe path {path!r} in the bundle", expected="names of letters, digits and ._+- below it")
    return path


def check_twins(paths: Iterable[str]) -> None:
    """BundleError where two files or folders differ in upper and lower case alone, or one name is both.

    A file system that does not tell case apart would keep one of two twins, and whatever was hashed last.
    """
    spelled: dict[str, tuple[str, bool]] = {}
    for path in sorted(paths):
        parts = path.split("/")
        for depth in range(1, len(parts) + 1):
            name, is_file = "/".join(parts[:depth]), depth == len(parts)
            before = spelled.setdefault(name.lower(), (name, is_file))
            if before != (name, is_file):
                raise BundleError(f"{path} and {before[0]} are one file on some systems", expected="names of their own")


def _is_safe(part: str) -> bool:
    return bool(_SAFE_PART.fullmatch(part)) and not _DEVICES.fullmatch(part)
