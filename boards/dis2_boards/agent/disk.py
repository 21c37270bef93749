"""Every change that the agent makes to the board's disk goes through here, so that a test can stop it at each one.

Names are given to what is whole already: a file is written beside its place, synced and renamed over it, and the folder
is synced after. What a power cut may take is what was not synced.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
_COPY_INSTEAD = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS}
_PIECE = 1 << 20


class Witness:
    """Sees every change before and after it is made; tests put their own in the place of `witness`."""

    def before(self, name: str, path: Path) -> None:
        """Called before the change `name` of `path`; what it raises stops the change."""

    def after(self, name: str, path: Path) -> None:
        """Called when it was made."""


witness = Witness()


def make_folder(path: Path) -> None:
    """Make a folder, and those above it; no fault where it stands already."""
    if path.is_dir():
        return
    if not path.parent.is_dir():
        make_folder(path.parent)
    with contextlib.suppress(FileExistsError):
        _done("mkdir", path, lambda: os.mkdir(path, 0o755))


def sync_folder(path: Path) -> None:
    """Make the names in a folder outlive a power cut."""

    def sync() -> None:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    _done("fsync folder", path, sync)


def sync_all(path: Path) -> None:
    """Make everything outlive a power cut: after a child wrote thousands of files below `path`."""
    _done("sync", path, os.sync)


class Writing:
    """A file that is being written: `write` as often as wanted, then `sync`."""

    def __init__(self, path: Path, *, append: bool = False) -> None:
        self.path = path
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_APPEND if append else os.O_TRUNC)
        self._handle = _done("create", path, lambda: os.open(path, flags, 0o644))

    def write(self, data: bytes) -> None:
        """Write all of `data`."""

        def all_of_it() -> None:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._handle, rest) :]

        _done("write", self.path, all_of_it)

    def sync(self) -> None:
        """Make what was written outlive a power cut."""
        _done("fsync", self.path, lambda: os.fsync(self._handle))

    def __enter__(self) -> Writing:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)


def write_whole(path: Path, data: bytes) -> None:
    """Put `data` at `path`: after a cut there is the old file or the new one, never a part."""
    beside = path.with_name(f".{path.name}.new")
    try:
        with Writing(beside) as file:
            file.write(data)
            file.sync()
        rename(beside, path)
    except OSError:
        with contextlib.suppress(OSError):
            unlink(beside)
        raise
    sync_folder(path.parent)


def append_line(path: Path, text: str) -> None:
    """Add one line; a reader never sees half of two lines mixed."""
    with Writing(path, append=True) as file:
        file.write(text.encode("utf-8", "backslashreplace") + b"\n")


def rename(path: Path, to: Path) -> None:
    """Give `path` the name `to`, in whose place it then stands; the folder is synced by who calls."""
    _done("rename", to, lambda: os.replace(path, to))


def bring_back(path: Path, to: Path) -> None:
    """`rename`, and also where both are two names of one file still, which a rename leaves as they are."""
    rename(path, to)
    unlink(path)


def link_to(target: str, path: Path) -> None:
    """Make the symbolic link `path` anew; it must be one that nothing flies by."""
    unlink(path)
    _done("symlink", path, lambda: os.symlink(target, path))


def unlink(path: Path) -> None:
    """Remove a file or a link; no fault where there is none."""
    if os.path.lexists(path):
        with contextlib.suppress(FileNotFoundError):
            _done("unlink", path, lambda: os.unlink(path))


def same_file(source: Path, path: Path) -> None:
    """Let `path` be `source` as well: a hard link, or a synced copy where the file system has none."""
    try:
        _done("link", path, lambda: os.link(source, path, follow_symlinks=False))
    except OSError as error:
        if error.errno not in _COPY_INSTEAD:
            raise
        with Writing(path) as file:
            for piece in pieces(source):
                file.write(piece)
            file.sync()


def protect(path: Path) -> None:
    """Make a file that has its hash for a name read-only."""
    _done("chmod", path, lambda: os.chmod(path, 0o444))


def remove_tree(path: Path) -> None:
    """Remove a folder and all in it, links as links; no fault where there is none."""
    if not os.path.lexists(path):
        return
    if path.is_symlink() or not path.is_dir():
        unlink(path)
        return
    with os.scandir(path) as entries:
        names = sorted(entry.name for entry in entries)
    for name in names:
        remove_tree(path / name)
    _done("rmdir", path, lambda: os.rmdir(path))


def made_by_child(path: Path, child: Callable[[], T]) -> T:
    """Let a child write below `path`: one change, at whatever point of which it may be stopped."""
    return _done("child", path, child)


def pieces(path: Path) -> Iterator[bytes]:
    """The bytes of a plain file, 1 MiB at a time; a link or a device is an OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(handle, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a plain file", str(path))
        while piece := file.read(_PIECE):
            yield piece


def _done(name: str, path: Path, change: Callable[[], T]) -> T:
    witness.before(name, path)
    made = change()
    witness.after(name, path)
    return made
