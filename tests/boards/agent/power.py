"""A disk that loses its power: what was synced is there afterwards, of all else as much as a model says.

A test puts `Power` in the place of `disk.witness`. Before each change it calls `heard`, which may ask by `cut` what
would be left if the agent came no further: nothing is done to the folder for it, so one run has all of its stops.

- kept    everything that was done is there: the agent was killed, the board went on
- lost    whatever was not synced is gone: names and contents are those of the last sync
- torn    names are there, the contents of files that were not synced are not, as with delayed allocation
- shallow the names at the top are there; those in folders below, and contents, that were not synced are not
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dis2_boards.agent.disk import Witness

MODELS = ("kept", "lost", "torn", "shallow")
Entry = tuple[str, int | str]
"""What a name stands for: ("file", number), ("folder", number) or ("link", target)."""


class Killed(BaseException):
    """The agent ends here."""


@dataclass(frozen=True)
class Remains:
    """What is left of a folder."""

    number: int
    """Its number."""
    names: dict[int, dict[str, Entry]]
    """Folder's number -> its names."""
    contents: dict[int, bytes]
    """File's number -> its bytes."""

    def made(self, folder: Path) -> None:
        """Make `folder` anew of it, files with two names among it."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        _rebuild(folder, self.number, self.names, self.contents, {})

    def walked(self, number: int = 0, below: str = "") -> Iterator[tuple[str, str | bytes]]:
        """Path and content of all in it: bytes of a file, the target of a link, `/` of a folder."""
        for name, (kind, what) in sorted(self.names.get(number or self.number, {}).items()):
            path = f"{below}{name}"
            if kind == "folder":
                yield path, "/"
                yield from self.walked(int(what), f"{path}/")
            else:
                yield path, f"-> {what}" if kind == "link" else self.contents.get(int(what), b"")


@dataclass
class Power(Witness):
    """Counts changes, and remembers what is safe on the disk."""

    root: Path
    """The folder that is watched; all in it at the beginning is safe."""
    changes: list[str] = field(default_factory=list)
    """All changes so far: `NAME PATH`."""
    names: dict[int, dict[str, Entry]] = field(default_factory=dict)
    """Folder's number -> its names, as they are safe."""
    contents: dict[int, bytes] = field(default_factory=dict)
    """File's number -> its bytes, as they are safe."""
    heard: Callable[[str], object] = field(default=lambda _: None)
    """Called with each change before it is made; stops the agent by raising Killed."""
    held: dict[int, int] = field(default_factory=dict)
    """Number -> a handle, so that the number is given to nothing else."""

    def __post_init__(self) -> None:
        self._all_safe()

    def before(self, name: str, path: Path) -> None:
        """Tell of it, and remember it."""
        change = f"{name} {os.path.relpath(path, self.root)}"
        self.heard(change)
        self.changes.append(change)

    def after(self, name: str, path: Path) -> None:
        """Remember what a sync made safe."""
        if name == "fsync":
            self.contents[self._number(path)] = path.read_bytes()
        elif name == "fsync folder":
            self._safe_names(path)
        elif name == "sync":
            self._all_safe()
        elif os.path.lexists(path):
            self._number(path)

    def close(self) -> None:
        """Let go of the handles."""
        for handle in self.held.values():
            os.close(handle)
        self.held.clear()

    def cut(self, model: str) -> Remains:
        """What is left of the folder if the power goes now, or the agent alone for `kept`."""
        number = os.stat(self.root).st_ino
        there, contents = self._now()
        names = {
            "kept": there,
            "torn": there,
            "lost": self.names,
            "shallow": {**self.names, number: there[number]},
        }[model]
        return Remains(number, dict(names), dict(contents if model == "kept" else self.contents))

    def _now(self) -> tuple[dict[int, dict[str, Entry]], dict[int, bytes]]:
        names: dict[int, dict[str, Entry]] = {}
        contents: dict[int, bytes] = {}
        for where, folders, files in os.walk(self.root):
            names[os.stat(where).st_ino] = self._listing(Path(where))
            for name in [*folders, *files]:
                path = Path(where) / name
                if path.is_file() and not path.is_symlink():
                    contents[path.stat().st_ino] = path.read_bytes()
        return names, contents

    def _all_safe(self) -> None:
        self.names, self.contents = self._now()

    def _safe_names(self, folder: Path) -> None:
        self.names[os.stat(folder).st_ino] = self._listing(folder)

    def _listing(self, folder: Path) -> dict[str, Entry]:
        listing: dict[str, Entry] = {}
        for entry in os.scandir(folder):
            if entry.is_symlink():
                listing[entry.name] = ("link", os.readlink(entry))
            else:
                kind = "folder" if entry.is_dir() else "file"
                listing[entry.name] = (kind, self._number(Path(entry)))
        return listing

    def _number(self, path: Path) -> int:
        number = os.lstat(path).st_ino
        if number not in self.held and not path.is_symlink():
            self.held[number] = os.open(path, os.O_PATH | os.O_NOFOLLOW)
        return number


def _rebuild(
    folder: Path, number: int, names: dict[int, dict[str, Entry]], contents: dict[int, bytes], made: dict[int, Path]
) -> None:
    for name, (kind, what) in sorted(names.get(number, {}).items()):
        path = folder / name
        if kind == "link":
            path.symlink_to(str(what))
        elif kind == "folder":
            path.mkdir()
            _rebuild(path, int(what), names, contents, made)
        elif int(what) in made:
            os.link(made[int(what)], path)
        else:
            path.write_bytes(contents.get(int(what), b""))
            made[int(what)] = path
