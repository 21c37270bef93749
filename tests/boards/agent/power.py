"""A disk that loses its power: what was synced is there afterwards, of all else as much as a model says.

A test puts `Power` in the place of `disk.witness`. It stops the agent before its change `at`, then `cut` turns the
folder into what a power cut would have left.

- kept    everything that was done is there: the agent was killed, the board went on
- lost    whatever was not synced is gone: names and contents are those of the last sync
- torn    names are there, the contents of files that were not synced are not, as with delayed allocation
- shallow the names at the top are there; those in folders below, and contents, that were not synced are not
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from dis2_boards.agent.disk import Witness

MODELS = ("kept", "lost", "torn", "shallow")
Entry = tuple[str, int | str]
"""What a name stands for: ("file", number), ("folder", number) or ("link", target)."""


class Killed(BaseException):
    """The agent ends here."""


@dataclass
class Power(Witness):
    """Counts changes, stops before one, and remembers what is safe on the disk."""

    root: Path
    """The folder that is watched; all in it at the beginning is safe."""
    at: int = 0
    """Number, from 1, of the change before which the agent stops; 0 never."""
    changes: list[str] = field(default_factory=list)
    """All changes so far: `NAME PATH`."""
    names: dict[int, dict[str, Entry]] = field(default_factory=dict)
    """Folder's number -> its names, as they are safe."""
    contents: dict[int, bytes] = field(default_factory=dict)
    """File's number -> its bytes, as they are safe."""
    heard: Callable[[], object] = field(default=lambda: None)
    """Called before each change."""
    held: dict[int, int] = field(default_factory=dict)
    """Number -> a handle, so that the number is given to nothing else."""

    def __post_init__(self) -> None:
        self._all_safe()

    def before(self, name: str, path: Path) -> None:
        """Stop before the change that was chosen, and before all after it."""
        where = os.path.relpath(path, self.root)
        self.changes.append(f"{name} {where}")
        self.heard()
        if self.at and len(self.changes) >= self.at:
            raise Killed

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

    def cut(self, model: str) -> None:
        """Turn the folder into what is left of it."""
        if model == "kept":
            return
        number, there = os.stat(self.root).st_ino, self._now()[0]
        names = {"torn": there, "lost": self.names, "shallow": {**self.names, number: there[number]}}[model]
        for entry in os.scandir(self.root):
            shutil.rmtree(entry) if entry.is_dir(follow_symlinks=False) else os.unlink(entry)
        _rebuild(self.root, number, names, self.contents, {})

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
