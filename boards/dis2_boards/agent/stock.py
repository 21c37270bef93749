"""ROOT/stock: files received, each under its SHA-256. An upload that broke off goes on where it stopped."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dis2_boards.agent import disk
from dis2_boards.agent.fault import RefusedError
from dis2_boards.agent.places import Places, digest, free_bytes
from dis2_boards.agent.session import Session

_SPARE = 8 << 20
"""Bytes that an upload leaves free, for links and small files."""


def have(session: Session, *, files: list[tuple[str, int]]) -> dict[str, Any]:
    """Which of `files` (SHA-256, bytes) are not here, and how much of each broken upload is."""
    stock = session.at().stock
    missing = [sha for sha, size in dict(files).items() if _size(stock / sha) != size]
    partial = {sha: _size(_part(stock, sha)) for sha in missing}
    return {"missing": missing, "partial": {sha: size for sha, size in partial.items() if size > 0}}


def put(session: Session, *, sha256: str, bytes: int, offset: int) -> dict[str, Any]:
    """Take bytes `offset` to `bytes` of the file, and with the last of them check its hash."""
    wire, places = session.wire, session.at()
    session.hold()
    part = _part(places.stock, sha256)
    there = max(0, _size(part))
    if offset > bytes or offset not in (0, there):
        mend = "ask have, and go on from there"
        raise RefusedError(f"the upload goes on at {offset} of {bytes}", expected=f"0 or {there}", mend=mend)
    _check_room(places, bytes - offset)
    total = _hash_of_start(part, offset)
    if not offset:
        disk.remove_tree(part)  # whoever made it, and whatever it is: what is written now is ours
    with disk.Writing(part, append=offset > 0) as file:
        for piece in wire.pieces():
            file.write(piece)
            total.update(piece)
        file.sync()
    if total.hexdigest() != sha256:
        disk.unlink(part)
        raise RefusedError(f"{sha256[:12]}... was damaged on the way", mend="deploy again: it is sent anew")
    disk.rename(part, places.stock / sha256)  # first: a part that cannot be written could never be gone on with
    disk.protect(places.stock / sha256)
    disk.sync_folder(places.stock)
    return {}


def announced(ask: dict[str, Any]) -> int:
    """Raw bytes that follow the request `ask`, also where all else in it is wrong."""
    size, offset = ask.get("bytes"), ask.get("offset", 0)
    if ask["ask"] != "put" or type(size) is not int or type(offset) is not int:
        return 0
    return max(0, size - max(0, offset))


def check(places: Places, wanted: Sequence[tuple[str, int]]) -> None:
    """Read each of `wanted` (SHA-256, bytes) whole; one that is not what its name says is removed and RefusedError."""
    for sha, size in dict(wanted).items():
        path = places.stock / sha
        if not os.path.lexists(path):
            raise RefusedError(f"{sha[:12]}... was not received", mend="deploy again: it is sent")
        if _size(path) != size or digest(path) != sha:
            disk.unlink(path)
            disk.sync_folder(places.stock)
            raise RefusedError(f"{sha[:12]}... was damaged on the board's disk", mend="deploy again: it is sent anew")


def _check_room(places: Places, wanted: int) -> None:
    free = free_bytes(places.stock)
    if wanted + _SPARE > free:
        found = f"{free >> 20} MiB are free on the board, {wanted >> 20} MiB are to come"
        raise RefusedError(found, mend="free some space on the board: dis2-edge prune")


def _hash_of_start(part: Path, offset: int) -> Any:
    total = hashlib.sha256()
    if offset:
        for piece in disk.pieces(part):
            total.update(piece)
    return total


def _part(stock: Path, sha: str) -> Path:
    return stock / f"{sha}.part"


def _size(path: Path) -> int:
    """The size of a plain file, -1 if there is none."""
    try:
        state = os.lstat(path)
    except OSError:
        return -1
    return state.st_size if os.path.isfile(path) and not os.path.islink(path) else -1
