"""The stock: a folder of this machine with the wheels that boards install. What is there is not fetched again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from dis2_boards.packing.own_wheel import own_wheel
from dis2_boards.packing.pins import Wheel, check_tag, fits, pinned, pins
from dis2_edge.errors import WheelError
from dis2_edge.files import sha256, storage_errors
from dis2_edge.terminal import progress

LIMIT_S = 1800.0
"""How long the wheels of one tag may take to come."""
OLDEST_GLIBC, NEWEST_GLIBC = 17, 28
"""A wheel may be made for these versions 2.x: every system that is served has 2.28 or newer."""


def cache_folder() -> Path:
    """What can be made or fetched again lies here: below XDG_CACHE_HOME, as a rule ~/.cache."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dis2-edge"
    except RuntimeError as cause:
        raise WheelError("this user has no home folder", mend="set XDG_CACHE_HOME, or name --wheels DIR") from cause


def folder_of(given: Path | None) -> Path:
    """The stock that the user names, else the usual one."""
    return cache_folder() / "wheels" if given is None else given.expanduser()


def gather(tags: Sequence[str], folder: Path | None = None, extras: Sequence[str] = ()) -> dict[str, list[Wheel]]:
    """For each tag the wheels of a whole installation, our own first; all of them lie in `folder` then.

    What lies there with the right bytes is not fetched; the rest comes by `pip download` and must have the pinned
    hashes. `extras` are groups beside base and host. Raises WheelError where a wheel cannot be had, BoardError on a tag
    that nothing is pinned for.
    """
    folder = folder_of(folder)
    own = own_wheel(folder)
    found = {}
    for tag in progress([check_tag(tag) for tag in dict.fromkeys(tags)], "gather wheels"):
        wanted = pinned(tag, extras)
        missing = [wheel for wheel in wanted if not _lies(folder, wheel)]
        if missing:
            _fetch(missing, tag, folder)
        found[tag] = [own, *wanted, *(_built_on_a_board(folder, tag) if "jetson" in extras else ())]
    return found


def path_of(folder: Path, wheel: Wheel) -> Path:
    """The wheel's file in a stock, with the right bytes; else WheelError with the mend."""
    if not _lies(folder, wheel):
        state = "altered" if (folder / wheel.filename).is_file() else "missing"
        mend = "deploy again where an index can be reached, or lay it into that folder"
        raise WheelError(f"{wheel.filename} is {state} in {folder}", expected=wheel.sha256, mend=mend)
    return folder / wheel.filename


def lay(folder: Path, files: Iterable[Path]) -> None:
    """Put wheel files into a stock: each whole or not at all."""
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            scratch = folder / f".{file.name}.{os.getpid()}"
            try:
                shutil.copyfile(file, scratch)
                os.replace(scratch, folder / file.name)
            finally:
                scratch.unlink(missing_ok=True)


def platform_of(tag: str) -> list[str]:
    """The arguments of `pip download` that choose wheels for `tag`."""
    python, machine = tag.split("-")
    places = [f"manylinux_2_{minor}_{machine}" for minor in range(NEWEST_GLIBC, OLDEST_GLIBC - 1, -1)]
    places += [f"manylinux2014_{machine}"]
    kind = ["--only-binary=:all:", "--implementation=cp", f"--python-version={python[2:]}"]
    abis = [f"--abi={abi}" for abi in (python, "abi3", "none")]
    return [*kind, *abis, *(f"--platform={place}" for place in places)]


def _lies(folder: Path, wheel: Wheel) -> bool:
    path = folder / wheel.filename
    return path.is_file() and path.stat().st_size == wheel.bytes and sha256(path) == wheel.sha256


def _built_on_a_board(folder: Path, tag: str) -> list[Wheel]:
    """The newest wheel of pycuda in the stock, where one was laid; cuda-bindings goes along and stands in for it.

    pycuda is sources only: a wheel of it is built once on a board of that JetPack (`pip wheel pycuda`).
    """
    files = [file for file in sorted(folder.glob("pycuda-*.whl")) if fits(file.name, tag)]
    return [Wheel(file.name, sha256(file), file.stat().st_size) for file in files[-1:]]


def _fetch(missing: Sequence[Wheel], tag: str, folder: Path) -> None:
    """Fetch wheels by pip, by their pinned hashes, into a folder aside; then lay them into the stock."""
    names = {wheel.filename: pin for pin in pins() for wheel in pin.wheels}
    rows = [f"{names[w.filename].name}=={names[w.filename].version} --hash=sha256:{w.sha256}\n" for w in missing]
    with tempfile.TemporaryDirectory(prefix="dis2-wheels-") as scratch:
        wanted = Path(scratch) / "wanted.txt"
        wanted.write_text("".join(rows), "utf-8")
        got = Path(scratch) / "wheels"
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--require-hashes", "--dest", str(got)]
        _run([*pip, *platform_of(tag), "-r", str(wanted)], missing, folder)
        for wheel in missing:
            if not _lies(got, wheel):
                raise WheelError(f"pip fetched no {wheel.filename}", expected=wheel.sha256, mend=_mend(folder))
        lay(folder, (got / wheel.filename for wheel in missing))


def _run(command: Sequence[str], missing: Sequence[Wheel], folder: Path) -> None:
    what = f"{missing[0].filename}" + f" and {len(missing) - 1} more" * (len(missing) > 1)
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=LIMIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as cause:
        raise WheelError(f"{what} did not come: {cause}", mend=_mend(folder)) from cause
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["pip failed"]
        errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR")] or lines
        raise WheelError(f"{what} did not come ({errors[-1]})", mend=_mend(folder))


def _mend(folder: Path) -> str:
    return f"deploy once where a package index can be reached, then carry {folder} here (or name it: --wheels DIR)"
