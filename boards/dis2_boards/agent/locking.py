"""ROOT/deploy.lock: one session at a time changes a board; the kernel frees it when that session ends in any way."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time

from dis2_boards.agent import disk
from dis2_boards.agent.fault import RefusedError
from dis2_boards.agent.places import FOLDERS, Places

_POLL_S = 0.05


class Lock:
    """The lock, held until `free`."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    @classmethod
    def taken(cls, places: Places, wait_s: float, who: str) -> Lock:
        """Take the lock, waiting at most `wait_s` seconds; RefusedError names who holds it."""
        _make_root(places)
        for name in FOLDERS:
            disk.make_folder(places.root / name)
        handle = os.open(places.lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            _wait(handle, wait_s)
            _sign(handle, who)
        except BaseException:
            os.close(handle)
            raise
        return cls(handle)

    def free(self) -> None:
        """Give it back."""
        os.close(self._handle)


def _make_root(places: Places) -> None:
    """Make ROOT so that a power cut takes neither it nor the folders that it lies in."""
    missing = [folder for folder in (places.root, *places.root.parents) if not folder.is_dir()]
    disk.make_folder(places.root)
    for folder in missing:
        disk.sync_folder(folder.parent)


def _wait(handle: int, wait_s: float) -> None:
    end = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
        if time.monotonic() >= end:
            holder = os.pread(handle, 300, 0).decode("utf-8", "replace").strip() or "somebody"
            mend = "wait for it to end, or give --wait SECONDS"
            raise RefusedError(f"another deploy holds the board: {holder}", mend=mend)
        time.sleep(_POLL_S)


def _sign(handle: int, who: str) -> None:
    """Write who holds it; on a full disk it is held without a name."""
    with contextlib.suppress(OSError):
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{who or 'unnamed'} since {time.strftime('%H:%M:%S %Z')}\n".encode("utf-8", "replace"), 0)
