"""Read small files below a root folder, whatever they hold: the machine's own `/`, or a tree that a test wrote.

Nothing here raises for what it meets: a file that is gone, locked, endless, a device or not text reads as empty or
is cut. Links are followed inside the root, an absolute one too, so that a tree never leads out into the real machine.
"""

from __future__ import annotations

import itertools
import os
import re
import stat
from pathlib import Path

LIMIT = 1 << 20
"""Bytes read of one file, unless more are asked for; what is behind them is not read."""
_MOST_NAMES, _MOST_LINKS = 4096, 40
_WHOLE = re.compile(r"^-?[0-9]{1,18}\Z")


class Tree:
    """Files below `root`; paths are given as on the machine itself, from `/`."""

    def __init__(self, root: Path | str = "/") -> None:
        self.root = os.path.abspath(root)

    @property
    def is_this_machine(self) -> bool:
        """Whether the root is the machine's own, so that what Python itself knows counts too."""
        return self.root == "/"

    def raw(self, path: str, limit: int = LIMIT) -> bytes:
        """The first `limit` bytes of a regular file; empty when there is none or it cannot be read."""
        try:
            handle = os.open(self._inside(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError):
            return b""
        try:
            return _read(handle, limit) if stat.S_ISREG(os.fstat(handle).st_mode) else b""
        except OSError:
            return b""
        finally:
            os.close(handle)

    def text(self, path: str, limit: int = LIMIT) -> str:
        """The file as text that is safe to print; bytes that are no UTF-8 and control characters become `?`."""
        return printable(self.raw(path, limit).decode("utf-8", "replace"))

    def line(self, path: str) -> str:
        """The first line of the file, stripped; of a device tree's property, its text up to the first NUL."""
        start = self.raw(path, 4096).split(b"\0", 1)[0].decode("utf-8", "replace").strip()
        return printable(start.split("\n", 1)[0]).strip()

    def strings(self, path: str) -> list[str]:
        """The strings of a device tree's property, which NULs end."""
        pieces = self.raw(path, 4096).decode("utf-8", "replace").split("\0")
        return [printable(piece).strip() for piece in pieces if piece.strip()]

    def number(self, path: str) -> int | None:
        """The whole number that the file holds; None when it holds none."""
        return whole_number(self.line(path))

    def names(self, folder: str) -> list[str]:
        """Names in a folder, sorted; none when it cannot be listed."""
        try:
            with os.scandir(self._inside(folder)) as entries:
                return sorted(printable(entry.name) for entry in itertools.islice(entries, _MOST_NAMES))
        except (OSError, ValueError):
            return []

    def exists(self, path: str) -> bool:
        """Whether something is there."""
        try:
            return os.path.lexists(self._inside(path))
        except (OSError, ValueError):
            return False

    def leads_to(self, path: str) -> str:
        """Where the links of `path` end, as a path of the machine; `path` itself where there are none."""
        try:
            return "/" + os.path.relpath(self._inside(path, whole=True), self.root)
        except (OSError, ValueError):
            return path

    def _inside(self, path: str, *, whole: bool = False) -> str:
        """The real path of `path`; an OSError on links that go in a circle."""
        if self.is_this_machine and not whole:
            return path
        todo, links = path.split("/")[::-1], 0
        done: list[str] = []
        while todo:
            part = todo.pop()
            if part in ("", "."):
                continue
            if part == "..":
                done = done[:-1]
                continue
            try:
                target = os.readlink(os.path.join(self.root, *done, part))
            except OSError:  # no link, or nothing there
                done.append(part)
                continue
            links += 1
            if links > _MOST_LINKS:
                raise OSError(f"{path}: too many links")
            done = [] if target.startswith("/") else done
            todo.extend(reversed(target.split("/")))
        return os.path.join(self.root, *done)


def whole_number(text: str) -> int | None:
    """The number that `text` is, of at most 18 digits; None when it is none."""
    return int(text) if _WHOLE.match(text) else None


def printable(text: str) -> str:
    """`text` without what a terminal would obey."""
    return "".join(char if char.isprintable() or char in "\n\t" else "?" for char in text)


def _read(handle: int, limit: int) -> bytes:
    """Up to `limit` bytes; a file of /proc or /sys may hand itself out in pieces."""
    pieces, left = [], limit
    while left > 0 and (piece := os.read(handle, min(left, 1 << 16))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)
