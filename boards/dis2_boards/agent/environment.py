"""`install`: a version's own virtual environment, built offline from the stock with the pip that Python brings along.

It is built as env-1 or env-2, whichever the link `env` does not name, written down as whole when it is, and only then
is the link turned: what flies keeps its own to the end.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dis2_boards.agent import bounded, disk, judging, stock
from dis2_boards.agent.fault import RefusedError
from dis2_boards.agent.places import Places, as_json, read_table
from dis2_boards.agent.session import Session
from dis2_boards.agent.system import base_python
from dis2_boards.agent.wheels import pip_wheel

NAMES = ("env-1", "env-2")
MARK = "whole.json"
"""Written into an environment last: of which wheels it is, and how many files and bytes it has."""
_LIMIT_S = 1800.0
_RUN_PIP = (
    "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); sys.argv[0] = 'pip'; "
    "runpy.run_module('pip', run_name='__main__', alter_sys=True)"
)
_PIP_WORDS = ["--isolated", "--disable-pip-version-check", "--no-cache-dir", "--no-input", "install"]
_PIP_WORDS += ["--no-index", "--no-deps", "--require-hashes", "--ignore-installed", "--no-compile"]
_PIP_WORDS += ["--no-warn-script-location", "-r"]
Wheel = tuple[str, str, int]
"""File name, SHA-256, bytes."""


def install(session: Session, *, id: str, wheels: list[Wheel], system_packages: bool) -> dict[str, Any]:
    """Build the environment of version `id` of exactly `wheels`; one that is of these already stays."""
    places, began = session.at(), time.monotonic()
    version = places.version(id)
    if not (version / "bundle").is_dir():
        raise RefusedError(f"version {id} is not on this board", mend="place it first")
    for name, _, _ in wheels:
        if sum(name == other for other, _, _ in wheels) > 1:
            raise RefusedError(f"{name} is listed twice")
    _check_listed(places, id, wheels)
    key = _key(wheels, system_packages)
    if not (stands(version) and (_mark(version / "env") or {}).get("key") == key):
        stock.check(places, [(sha, size) for _, sha, size in wheels])
        _build(session, places, version, wheels, system_packages, key)
    mark = _mark(version / "env") or {}
    return {"bytes": mark.get("bytes", 0), "seconds": round(time.monotonic() - began, 2)}


def tag() -> str:
    """What wheels must be for here: cp311-aarch64."""
    return f"cp{sys.version_info[0]}{sys.version_info[1]}-{platform.machine()}"


def stands(version: Path) -> bool:
    """Whether the environment of `version` is there, and as large as it was when it was whole."""
    mark = _mark(version / "env")
    python = version / "env" / "bin" / "python"
    return (
        mark is not None and os.access(python, os.X_OK) and _measured(version / "env") == (mark["files"], mark["bytes"])
    )


def used_wheels(version: Path) -> list[str]:
    """SHA-256 of the wheels that the environment of `version` was built of."""
    return [str(sha) for sha in (_mark(version / "env") or {}).get("wheels", [])]


def remove_unused(version: Path) -> Iterator[str]:
    """Remove environments that the link does not name and no process runs, and what an installation left half done."""
    linked = _linked(version)
    for name in (*NAMES, ".wheels"):
        folder = version / name
        if name != linked and os.path.lexists(folder) and not in_use(folder):
            disk.remove_tree(folder)
            yield name


def in_use(folder: Path) -> bool:
    """Whether a process was started by the Python in `folder`, or by the link, which may have named it then."""
    version, names = os.fsencode(os.path.realpath(folder.parent)), (os.fsencode(folder.name), b"env")
    for number in (name for name in os.listdir("/proc") if name.isdigit()):
        try:
            with open(f"/proc/{number}/cmdline", "rb") as file:
                program = file.read(4096).split(b"\0")[0]
            where, name = os.path.split(os.path.dirname(os.path.dirname(program)))
            if name in names and os.path.realpath(where) == version:
                return True
        except OSError:
            continue
    return False


def flies(version: Path) -> bool:
    """Whether a process was started by an environment of `version`, current or not: nothing of it may go."""
    return any(in_use(version / name) for name in NAMES if (version / name).is_dir())


def _linked(version: Path) -> str:
    """The name of the environment that the link names, however it is spelled; empty without one."""
    folder, name = os.path.split(os.path.realpath(version / "env"))
    return name if folder == os.path.realpath(version) and name in NAMES else ""


def _check_listed(places: Places, name: str, wheels: list[Wheel]) -> None:
    """What is installed runs, so it must be what the bundle, judged when it came, lists: to the hash."""
    lock = places.bundle(name) / "wheels" / f"{tag()}.lock"
    if not lock.is_file():
        if judging.keys(places):
            mend = f"deploy a bundle that is packed for {tag()}"
            raise RefusedError(f"bundle {name} lists no wheels for {tag()}, and this board trusts keys", mend=mend)
        return
    listed = set(lock.read_text("ascii", "replace").splitlines())
    for filename, sha, size in wheels:
        if f"{sha}  {size}  {filename}" not in listed:
            raise RefusedError(f"{filename} is not what wheels/{lock.name} of {name} lists", mend="deploy it again")


def _build(
    session: Session, places: Places, version: Path, wheels: list[Wheel], system_packages: bool, key: str
) -> None:
    linked = _linked(version)
    folder = version / next(name for name in NAMES if name != linked)
    if in_use(folder):
        raise RefusedError(f"{folder.name} of {version.name} still flies", mend="restart what flies, then deploy again")
    disk.remove_tree(folder)
    steps = _steps(places, version, folder, wheels, system_packages)
    try:
        for count, (label, command) in enumerate(steps):
            session.wire.tell(label, count, len(steps))
            disk.made_by_child(folder, lambda command=command: _must(command, places.root))  # type: ignore[misc]
        files, size = _measured(folder)
        mark = {"key": key, "wheels": [sha for _, sha, _ in wheels], "files": files, "bytes": size}
        disk.sync_all(folder)
        disk.write_whole(folder / MARK, as_json(mark))
    except (OSError, RefusedError):
        disk.remove_tree(folder)
        raise
    finally:
        disk.remove_tree(version / ".wheels")
    beside = version / ".env.new"
    disk.link_to(folder.name, beside)
    disk.rename(beside, version / "env")
    disk.sync_folder(version)
    session.wire.tell(steps[-1][0], len(steps), len(steps))


def _steps(
    places: Places, version: Path, folder: Path, wheels: list[Wheel], system_packages: bool
) -> list[tuple[str, list[str]]]:
    """What is run, in order: make the environment, fill it, compile it but for tests, which nobody runs on a board."""
    pip = pip_wheel()
    if pip is None:
        mend = "on the board: sudo apt install python3-venv"
        raise RefusedError("the board's Python has no pip to install with (ensurepip is missing)", mend=mend)
    shelf = version / ".wheels"
    disk.remove_tree(shelf)
    disk.make_folder(shelf)
    for name, sha, _ in wheels:
        disk.same_file(places.stock / sha, shelf / name)
    lines = [f"{shelf / name} --hash=sha256:{sha}\n" for name, sha, _ in wheels]
    disk.write_whole(shelf / "wanted.txt", "".join(lines).encode())
    own = [str(folder / "bin" / "python"), "-I"]
    venv = [
        base_python(),
        "-I",
        "-m",
        "venv",
        "--without-pip",
        *(["--system-site-packages"] if system_packages else []),
    ]
    return [
        ("make the environment", [*venv, str(folder)]),
        ("install the packages", [*own, "-c", _RUN_PIP, str(pip), *_PIP_WORDS, str(shelf / "wanted.txt")]),
        ("compile them", [*own, "-m", "compileall", "-q", "-x", r"[/\\]tests?[/\\]", str(folder / "lib")]),
    ]


def _must(command: list[str], cwd: Path) -> None:
    ended = bounded.run(command, _LIMIT_S, cwd=cwd, extra={"PIP_CONFIG_FILE": os.devnull})
    if not ended.well:
        found = "took too long" if ended.late else f"failed ({ended.status})"
        raise RefusedError(f"installing {found}: {ended.tail.strip()[-600:]}", mend=_mend(ended.tail))


def _mend(tail: str) -> str:
    if "No space left" in tail:
        return "free some space on the board: dis2-edge prune"
    if "not a supported wheel" in tail:
        return "these wheels are for another Python or machine: deploy with the tag of this board"
    return ""


def _key(wheels: list[Wheel], system_packages: bool) -> str:
    """What makes two environments the same: their wheels, their Python and whether they see the system's packages."""
    python = base_python()
    text = json.dumps([sorted(wheels), system_packages, python, os.path.realpath(python)])
    return hashlib.sha256(text.encode()).hexdigest()


def _mark(folder: Path) -> dict[str, Any] | None:
    mark = read_table(folder / MARK) or {}
    whole = {"key": str, "wheels": list, "files": int, "bytes": int}
    return mark if all(isinstance(mark.get(name), kind) for name, kind in whole.items()) else None


def _measured(folder: Path) -> tuple[int, int]:
    """Files and bytes below `folder`, without the mark and what Python compiles by itself."""
    files = size = 0
    for where, names, found in os.walk(os.path.realpath(folder)):
        names[:] = [name for name in names if name != "__pycache__"]
        for name in found:
            if name not in (MARK, f".{MARK}.new"):
                state = os.lstat(os.path.join(where, name))
                files, size = files + 1, size + state.st_size
    return files, size
