"""`place`: build versions/ID from the stock, whole and judged, under another name first."""

from __future__ import annotations

import os
import pkgutil
import re
from typing import Any

from dis2_boards.agent import disk, environment, judging, stock
from dis2_boards.agent.fault import RefusedError
from dis2_boards.agent.judging import MANIFEST, SEAL, SIGNATURE, Files
from dis2_boards.agent.places import JSON_LIMIT, Places
from dis2_boards.agent.session import Session

_PART = re.compile(r"[A-Za-z0-9_+-](?:[A-Za-z0-9._+-]*[A-Za-z0-9_+-])?")
UNTRUSTING = "this board trusts no key and takes every bundle; let it trust yours: dis2-edge key trust"


def place(session: Session, *, id: str, files: Files) -> dict[str, Any]:
    """Judge the bundle `id` made of `files` in the stock, and put it at versions/ID; what stands there whole stays."""
    places = session.at()
    _check_paths(files)
    verdict = _judge(places, id, files)
    if _stands(places, id):
        _sign_standing(places, id, files)
        judging.record(places.version(id), verdict)
    else:
        _build(places, id, files, verdict)
    return {"signed_by": verdict["signed_by"], "warning": "" if judging.keys(places) else UNTRUSTING}


def _check_paths(files: Files) -> None:
    for path in files:
        parts = path.split("/")
        if len(path) > 240 or len(parts) > 8 or not all(_PART.fullmatch(part) for part in parts):
            raise RefusedError(
                f"unsafe path {path[:240]!r} in the bundle", expected="names of letters, digits and ._+-"
            )
    folders = {folder for folder in _folders(files) if folder}
    for path in sorted(folders & set(files)):
        raise RefusedError(f"{path!r} is a file and a folder in the bundle")
    if len({name.lower() for name in folders | set(files)}) < len(folders | set(files)):
        raise RefusedError("two files of the bundle differ in upper and lower case alone", mend="make it again")
    for path in (MANIFEST, SEAL):
        if path not in files:
            raise RefusedError(f"{path} is missing in the bundle", mend="make the bundle again")


def _stands(places: Places, name: str) -> bool:
    """Whether versions/ID is there, and of what it is made is what its hashes say."""
    if not os.path.lexists(places.version(name)):
        return False
    try:
        judging.whole(places, name)
    except RefusedError as error:
        if places.flying() == name or environment.flies(places.version(name)):
            mend = "go back first: dis2-edge rollback, then deploy again"
            raise RefusedError(f"version {name} flies and is damaged ({error.found})", mend=mend) from error
        return False
    return True


def _judge(places: Places, name: str, files: Files) -> dict[str, Any]:
    stock.check(places, list(files.values()))
    for path in (MANIFEST, SEAL, SIGNATURE):
        if path in files and files[path][1] > JSON_LIMIT:
            raise RefusedError(f"{path} has {files[path][1]} bytes", expected=f"at most {JSON_LIMIT}")
    small = {path: files[path] for path in (MANIFEST, SEAL, SIGNATURE) if path in files}
    texts = {path: b"".join(disk.pieces(places.stock / sha)) for path, (sha, _) in small.items()}
    return judging.judge(places, name, files, texts)


def _sign_standing(places: Places, name: str, files: Files) -> None:
    """Give a version that stands the signature that came: it may have been placed before anyone signed it."""
    if SIGNATURE in files:
        path, line = places.bundle(name) / SIGNATURE, b"".join(disk.pieces(places.stock / files[SIGNATURE][0]))
        if not path.is_file() or path.read_bytes() != line:
            disk.write_whole(path, line)


def _build(places: Places, name: str, files: Files, verdict: dict[str, Any]) -> None:
    """versions/.ID.new, all of it synced, then renamed; what stood there and was not whole goes first."""
    beside = places.versions / f".{name}.new"
    disk.remove_tree(beside)
    for folder in _folders(files):
        disk.make_folder(beside / "bundle" / folder)
    for path, (sha, _) in sorted(files.items()):
        disk.same_file(places.stock / sha, beside / "bundle" / path)
    disk.write_whole(beside / "launch.py", _launcher())
    judging.record(beside, verdict)
    for folder in reversed(_folders(files)):
        disk.sync_folder(beside / "bundle" / folder)
    disk.sync_folder(beside)
    if os.path.lexists(places.version(name)):
        remove_version(places, name)
    disk.rename(beside, places.version(name))
    disk.sync_folder(places.versions)


def _launcher() -> bytes:
    """What starts the version, written into it: launcher.py of this package, from wherever this was imported."""
    found = pkgutil.get_data("dis2_boards.agent", "launcher.py")
    if found is None:
        raise RefusedError("the agent was carried without its launcher")
    return found


def remove_version(places: Places, name: str) -> None:
    """Remove versions/ID: from its first moment on it is no version any more."""
    aside = places.versions / f".{name}.old"
    disk.remove_tree(aside)
    disk.rename(places.version(name), aside)
    disk.sync_folder(places.versions)
    disk.remove_tree(aside)


def _folders(files: Files) -> list[str]:
    """The folders of a bundle, those above first; the bundle itself is the empty one."""
    found = {""}
    for path in files:
        parts = path.split("/")[:-1]
        found |= {"/".join(parts[: count + 1]) for count in range(len(parts))}
    return sorted(found)
