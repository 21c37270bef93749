"""`fetch`: hand a report, a state or a proof to the workstation, and nothing else of the board."""

from __future__ import annotations

import os
import re
import stat
from typing import Any

from dis2_boards.agent.fault import RefusedError
from dis2_boards.agent.places import Places
from dis2_boards.agent.session import Session
from dis2_boards.agent.wire import PIECE

_PROOF = re.compile(r"versions/[0-9a-f]{12}/proof\.json")
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def fetch(session: Session, *, path: str) -> dict[str, Any] | None:
    """Answer with the size of the file at `path` below ROOT, then send its bytes."""
    places, parts = session.at(), path.split("/")
    allowed = (parts[0] in ("reports", "state") and len(parts) > 1) or _PROOF.fullmatch(path)
    if not allowed or any(part in ("", ".", "..") for part in parts):
        raise RefusedError(f"{path!r} is not handed out", expected="a file of reports/ or state/, or a proof.json")
    handle = _opened(places, parts)
    with os.fdopen(handle, "rb", buffering=0) as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode):
            raise RefusedError(f"{path!r} is not a plain file")
        session.wire.answer({"bytes": state.st_size})
        left = state.st_size
        while left:
            piece = file.read(min(left, PIECE)) or bytes(
                min(left, PIECE)
            )  # cut short meanwhile: what was announced is sent
            session.wire.raw(piece)
            left -= len(piece)
    return None


def _opened(places: Places, parts: list[str]) -> int:
    """Opened folder by folder, so that no link leads elsewhere."""
    handle = os.open(places.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for count, part in enumerate(parts):
        last = count == len(parts) - 1
        try:
            following = os.open(part, _OPEN if last else _OPEN | os.O_DIRECTORY, dir_fd=handle)
        except OSError as error:
            raise RefusedError(f"{'/'.join(parts)} cannot be read ({error.strerror})") from error
        finally:
            os.close(handle)
        handle = following
    return handle
