"""The board's Debian: made once by debootstrap, then only read. What is downloaded stays, so a second try is short."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from dis2_edge.files import write_json
from dis2_edge.terminal import progress, say
from tests.boards.emulated.means import LackingError

PYTHONS = {"bookworm": "3.11", "trixie": "3.13", "jammy": "3.10", "noble": "3.12"}
"""Suites -> the Python that each brings."""
UBUNTU = ("jammy", "noble")
"""Suites of Ubuntu, as JetPack 6 and 7 are made of: their mirror and keyring have to be named."""
DEBIAN = ("bullseye", "bookworm", "trixie", "sid", "testing", "stable")
"""Names by which an archive of Debian is known in apt's files."""
PACKAGES = "python3,python3-venv,openssh-server,ca-certificates"
USER, UID = "pilot", 1000
HOME = "/data/pilot"
"""The user's home on the board: on the disk of its own that can be filled; the rest of the board is read-only."""
LINES = 620
"""About how many lines debootstrap tells, from which the time left is judged."""
TRIES = 2
"""A mirror that fails once is asked again, for what is missing."""


def make(folder: Path, suite: str, mirror: str | None, keyring: Path | None = None) -> Path:
    """The root folder of `suite` below `folder`, made now or long ago. LackingError where it cannot be had."""
    root, scratch = folder / "root", folder / "root.making"
    if (folder / "made.json").is_file():
        return root
    if shutil.which("debootstrap") is None:
        raise LackingError("debootstrap is not here (Debian's package debootstrap)")
    if suite in UBUNTU and not (mirror and keyring):
        raise LackingError(f"{suite} needs --mirror, an archive of Ubuntu's ports, and --keyring, its keys")
    mirror = mirror or mirror_of(Path("/etc/apt"))
    say(f"making an aarch64 {suite} in {root}, once: some 45 MB from the mirror, five minutes")
    for left in reversed(range(TRIES)):
        try:
            _bootstrap(scratch, folder / "debs", suite, mirror, keyring)
            break
        except LackingError:
            if not left:
                raise
    unmount_below(scratch)
    _settle(scratch)
    shutil.rmtree(root, ignore_errors=True)
    scratch.rename(root)
    write_json(folder / "made.json", {"suite": suite, "packages": PACKAGES, "python": python_of(root)})
    return root


def mirror_of(apt: Path) -> str:
    """The archive of Debian that this machine's own apt uses, from the files below `apt`; LackingError if none."""
    for file in sorted([apt / "sources.list", *(apt / "sources.list.d").glob("*")]):
        if file.is_file():
            for uri, suite in _sources(file.read_text("utf-8", "replace")):
                if suite in DEBIAN:
                    return uri
    raise LackingError("this machine's apt names no archive of Debian; name one with --mirror")


def python_of(root: Path) -> str:
    """The Python of the board, such as 3.11, by the link that Debian makes."""
    return (root / "usr/bin/python3").readlink().name.removeprefix("python")


def unmount_below(folder: Path) -> None:
    """Let go of whatever an interrupted debootstrap mounted in `folder`, so that removing it removes nothing else."""
    points = [line.split()[1] for line in Path("/proc/self/mounts").read_text("utf-8").splitlines()]
    for point in reversed(points):
        if Path(point).is_relative_to(folder.resolve()):
            subprocess.run(["umount", "--lazy", point], check=True)


def made(folder: Path) -> dict[str, str]:
    """What was made in `folder`: suite, packages, Python."""
    table: dict[str, str] = json.loads((folder / "made.json").read_text("utf-8"))
    return table


def _sources(text: str) -> Iterator[tuple[str, str]]:
    """Archive and suite of each source in a file of apt, of both forms."""
    yield from re.findall(r"^deb\s+(?:\[[^]]*\]\s*)?(\S+)\s+(\S+)\s", text, re.MULTILINE)
    for part in re.split(r"\n\s*\n", text):
        keys = dict(re.findall(r"^(\w[\w-]*):\s*(.+)$", part, re.MULTILINE))
        for suite in keys.get("Suites", "").split():
            for uri in keys.get("URIs", "").split():
                yield uri, suite


def _bootstrap(scratch: Path, debs: Path, suite: str, mirror: str, keyring: Path | None) -> None:
    """Run debootstrap into `scratch`, from the start; packages that lie in `debs` are not fetched again."""
    unmount_below(scratch)
    shutil.rmtree(scratch, ignore_errors=True)
    debs.mkdir(parents=True, exist_ok=True)
    words = ["nice", "debootstrap", "--arch=arm64", "--variant=minbase", f"--include={PACKAGES}"]
    words += ["--components=main,universe"] if suite in UBUNTU else []
    words += [f"--keyring={keyring.resolve()}"] if keyring else []
    words += [f"--cache-dir={debs.resolve()}", suite, str(scratch.resolve()), mirror]
    told: list[str] = []
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in progress(process.stdout, f"{suite} for aarch64", LINES):
            told.append(line.strip())
    if process.returncode:
        raise LackingError(f"debootstrap failed: {' / '.join(told[-3:])}")


def _settle(root: Path) -> None:
    """The user, the folders that are mounted over, and no name server: a board has no network of its own."""
    add = {
        "etc/passwd": f"{USER}:x:{UID}:{UID}::{HOME}:/bin/sh",
        "etc/group": f"{USER}:x:{UID}:",
        "etc/shadow": f"{USER}:*:19000:0:99999:7:::",
    }
    for name, line in add.items():
        with (root / name).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
    (root / HOME[1:]).parent.mkdir(exist_ok=True)
    (root / "etc/resolv.conf").write_text("")
    (root / "etc/hostname").write_text("board\n")
    shutil.rmtree(root / "var/cache/apt/archives", ignore_errors=True)
