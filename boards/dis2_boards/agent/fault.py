"""What the agent refuses: found, expected, mend, as the workstation prints it; the disk's own errors in those words."""

from __future__ import annotations

import errno

_MENDS = {
    errno.ENOSPC: "free some space on the board: dis2-edge prune",
    errno.EDQUOT: "the user's quota is used up: dis2-edge prune, or ask for more",
    errno.EROFS: "the board's file system is read-only: remount it, or choose another --root",
    errno.EACCES: "choose a --root that the user may write, or give that folder to the user",
    errno.EPERM: "choose a --root that the user may write, or give that folder to the user",
    errno.EIO: "the board's storage is failing: look at dmesg",
    errno.ENAMETOOLONG: "choose a shorter --root",
}


class RefusedError(Exception):
    """One request that cannot be done; the agent answers it and serves on."""

    def __init__(self, found: str, *, expected: str = "", mend: str = "") -> None:
        self.found, self.expected, self.mend = found, expected, mend
        super().__init__("; ".join(part for part in (found, expected and f"expected {expected}", mend) if part))


class GoneError(Exception):
    """The workstation is gone: the end of input in the middle of something, or nobody reads the answers."""


def told(error: Exception) -> dict[str, str]:
    """`error` as the table of an `error` reply."""
    if isinstance(error, RefusedError):
        return {"found": error.found, "expected": error.expected, "mend": error.mend}
    if isinstance(error, OSError):
        where = f" ({error.filename})" if isinstance(error.filename, str) else ""
        return {"found": f"{error.strerror or error}{where}", "expected": "", "mend": _MENDS.get(error.errno or 0, "")}
    found = f"a fault of the agent itself: {type(error).__name__}: {error}"
    return {"found": found[:2000], "expected": "", "mend": "please report it; nothing was switched by this step"}
