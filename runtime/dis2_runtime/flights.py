"""The folder of all flights and its quota: the oldest flights go, the current one and strangers' folders stay.

A flight's folder is called NUMBER-TIME, as a board's clock may be wrong and numbers are not. It holds a hidden file
that marks it as ours; whoever flies holds a lock on that file.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from dis2_edge.errors import StorageError
from dis2_edge.files import storage_errors

QUOTA_MB = 2000.0
"""Quota of a folder of flights whose rig says none."""
MARKER = ".dis2-flight"
"""Name of the file that marks a folder as a flight's."""

_NAME = re.compile(r"(\d{4,})-\d{8}T\d{6}Z")
_LOOK_S = 2.0
_REST = 50
"""Between two looks at the current flight's size lie that many times what a look took."""


@contextlib.contextmanager
def new_flight(folder: Path) -> Iterator[Path]:
    """A new folder for one flight below `folder`, locked until its end."""
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        path = _made(folder)
        with (path / MARKER).open("w") as marker:
            fcntl.flock(marker, fcntl.LOCK_EX)
            marker.write("A folder of dis2-edge run; removed when the flights' quota asks for it.\n")
            marker.flush()
            yield path


class Quota:
    """Keeps flights within a quota, from a thread of its own, so that no start waits for it; used in a `with`."""

    def __init__(self, current: Path, quota_mb: float, flights: Path | None) -> None:
        """`flights` is the folder whose oldest flights may go; None where only `current` counts."""
        self._current, self._flights, self._quota = current, flights, quota_mb * 1e6
        self._exceeded = f"the quota of {quota_mb:g} MB is used up by this flight"
        self._barrier = ""
        self._others: dict[Path, int] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="quota", daemon=True)

    def __enter__(self) -> Quota:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(timeout=0.1)

    def barrier(self) -> str:
        """Why no more pictures may be written; empty while they may."""
        return self._barrier

    def look(self) -> None:
        """Measure, and remove the oldest flights as long as all together exceed the quota."""
        mine = size_of(self._current)
        for path in flights_of(self._flights) if self._flights else []:
            if path != self._current and path not in self._others:
                self._others[path] = size_of(path)
        for path in list(self._others):
            if mine + sum(self._others.values()) > self._quota and _removed(path):
                del self._others[path]
        self._barrier = self._exceeded if mine >= self._quota else ""

    def _watch(self) -> None:
        rest_s = 0.0
        while not self._ended.wait(rest_s):
            begin = time.monotonic()
            self.look()
            rest_s = max(_LOOK_S, _REST * (time.monotonic() - begin))


def flights_of(folder: Path) -> list[Path]:
    """The flights below `folder`, oldest first: real folders with a flight's name and marker, nothing else."""
    found = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = _NAME.fullmatch(entry.name)
            if match and entry.is_dir(follow_symlinks=False) and _marked(Path(entry.path)):
                found.append((int(match[1]), entry.name, folder / entry.name))
    return [path for _, _, path in sorted(found)]


def size_of(folder: Path) -> int:
    """Bytes that `folder` takes on the disk; what vanishes meanwhile counts nothing, links are not followed."""
    total, left = 0, [str(folder)]
    while left:
        with contextlib.suppress(OSError), os.scandir(left.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    left.append(entry.path)
                else:
                    with contextlib.suppress(OSError):
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
    return total


def _made(folder: Path) -> Path:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    taken = [int(match[1]) for name in os.listdir(folder) if (match := _NAME.fullmatch(name))]
    for number in range(max(taken, default=0) + 1, max(taken, default=0) + 100):
        with contextlib.suppress(FileExistsError):
            path = folder / f"{number:04d}-{stamp}"
            path.mkdir()
            return path
    raise StorageError(f"no new flight could be made in {folder}", mend="give --out")


def _marked(path: Path) -> bool:
    marker = path / MARKER
    return marker.is_file() and not marker.is_symlink()


def _removed(path: Path) -> bool:
    """Remove a flight that nobody flies; false where one does, or where the disk refuses."""
    try:
        with (path / MARKER).open("r+") as marker:
            if not _lock(marker):
                return False
            for entry in path.iterdir():
                if entry.name != MARKER:
                    shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
            (path / MARKER).unlink()  # last: a removal that is cut short goes on next time
            path.rmdir()
    except OSError:
        return False
    return True


def _lock(marker: IO[str]) -> bool:
    try:
        fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
