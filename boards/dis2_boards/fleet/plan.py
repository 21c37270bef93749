"""A fleet as data: the boards of a flat TOML file, the canary among them, and the waves in which the others follow."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dis2_boards.agent.services import Kind
from dis2_boards.targets import address
from dis2_edge.errors import BoardError, UserError
from dis2_edge.files import read_toml
from dis2_edge.settings import from_table, nearest

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,47}")


@dataclass(frozen=True)
class Member:
    """One board of a fleet; a table `[boards.NAME]` of the file."""

    name: str
    """Its name, from the table's heading."""
    target: str
    """Where it is: ssh://user@host[:port][/root], or dir:PATH."""
    root: str = ""
    """Folder of dis2-edge on the board; empty for the usual one."""
    rig: str = ""
    """The aircraft's rig file on this machine, relative to the fleet's file; empty leaves the board's own alone."""
    service: Kind | None = None
    """How the board starts what flies; None for `deploy`'s own choice."""

    @property
    def place(self) -> tuple[str, ...]:
        """The words of a command line that lead to it."""
        return ("--target", self.target, *(("--root", self.root) if self.root else ()))

    def words(self, folder: Path) -> tuple[str, ...]:
        """What else `dis2-edge deploy` is told about it; `folder` is where the fleet's file lies."""
        given = (("--rig", self.rig and str(folder / self.rig)), ("--service", self.service))
        return tuple(word for flag, value in given if value for word in (flag, value))


@dataclass(frozen=True)
class Fleet:
    """All of a fleet's file; whatever does not fit together raises BoardError when it is made."""

    path: Path
    """The file; the roll-out's record and logs are kept beside it."""
    boards: dict[str, Member]
    """Every board, by name."""
    canary: str = ""
    """The board that goes first, alone; empty for the first of the file."""
    waves: tuple[tuple[str, ...], ...] = ()
    """Names of the boards that go together, wave by wave, after the canary; empty to cut them by `wave_size`."""
    wave_size: int = 0
    """Boards of a wave, in the file's order, where `waves` is not given; 0 puts all but the canary into one."""
    at_most_failed: int = 0
    """Boards of one wave that may fail before the roll-out stops. The canary never may, nor may a whole wave."""
    at_once: int = 8
    """Boards that are worked on at the same time, at most."""

    def __post_init__(self) -> None:
        where = str(self.path)
        if not self.boards:
            raise BoardError(f"{where} names no board", mend='add one: [boards.NAME] with target = "ssh://user@host"')
        if self.wave_size < 0 or self.at_most_failed < 0 or self.at_once < 1:
            found = f"{where}: wave_size {self.wave_size}, at_most_failed {self.at_most_failed}, at_once {self.at_once}"
            raise BoardError(found, expected="0 or more; at_once 1 or more")
        if self.waves and self.wave_size:
            raise BoardError(f"{where} has waves and a wave_size", mend="keep one of the two")
        _check_members(where, self.boards, self.path.parent)
        _check_order(where, self)

    def steps(self) -> tuple[tuple[Member, ...], ...]:
        """The boards in the order of the roll-out: the canary alone, then wave by wave."""
        first = self.canary or next(iter(self.boards))
        rest = [name for name in self.boards if name != first]
        size = self.wave_size or max(len(rest), 1)
        waves = self.waves or [tuple(rest[start : start + size]) for start in range(0, len(rest), size)]
        return tuple(tuple(self.boards[name] for name in wave) for wave in ((first,), *waves))


@dataclass(frozen=True)
class _File:
    """The file as it is written; its tables of boards have their names in the headings."""

    boards: dict[str, dict[str, Any]] = field(default_factory=dict)
    canary: str = ""
    waves: tuple[tuple[str, ...], ...] = ()
    wave_size: int = 0
    at_most_failed: int = 0
    at_once: int = 8


def load(path: Path) -> Fleet:
    """The fleet that the TOML file `path` describes; BoardError names what is wrong, and the nearest right key."""
    table = read_toml(path, BoardError)
    read = from_table(_File, table, where=str(path), error=BoardError)
    members = {
        name: from_table(Member, keys, where=f"{path}: boards.{name}", error=BoardError, name=name)
        for name, keys in read.boards.items()
    }
    rest = {key: getattr(read, key) for key in ("canary", "waves", "wave_size", "at_most_failed", "at_once")}
    return Fleet(path, members, **rest)


def _check_members(where: str, boards: dict[str, Member], folder: Path) -> None:
    """Refuse names and targets that could be read as something else, rigs that are not there, and twins."""
    places: dict[tuple[str, str], str] = {}
    for name, member in boards.items():
        if not _NAME.fullmatch(name):
            raise BoardError(f"{where}: a board is called {name!r}", expected="letters, digits, - and _, 48 at most")
        _check_target(f"{where}: boards.{name}", member)
        if member.rig and not (folder / member.rig).is_file():
            raise BoardError(f"{where}: boards.{name}: there is no rig file {folder / member.rig}")
        twin = places.setdefault((member.target.rstrip("/"), member.root.rstrip("/")), name)
        if twin != name:
            raise BoardError(f"{where}: boards {twin} and {name} are the same place, {member.target}")


def _check_target(where: str, member: Member) -> None:
    """Refuse before the first board is touched what `deploy` would refuse at the last."""
    try:
        words = argparse.Namespace(target=member.target, root=member.root, ssh_config="", python="")
        address.target_of(words)
    except UserError as error:
        raise BoardError(f"{where}: {error.found}", expected=error.expected, mend=error.mend) from error


def _check_order(where: str, fleet: Fleet) -> None:
    """Each board goes exactly once, the canary first."""
    if fleet.canary and fleet.canary not in fleet.boards:
        raise BoardError(
            f"{where}: canary {fleet.canary!r} is no board of it", mend=nearest(fleet.canary, fleet.boards)
        )
    if not fleet.waves:
        return
    if not all(fleet.waves):
        raise BoardError(f"{where}: an empty wave", expected="one name or more in each")
    order = [
        member.name
        for wave in ((fleet.canary or next(iter(fleet.boards)),), *fleet.waves)
        for member in _named(where, fleet, wave)
    ]
    for name in fleet.boards:
        if order.count(name) != 1:
            found = f"{where}: board {name!r} stands in the order {order.count(name)} times (canary first, then waves)"
            raise BoardError(found, expected="each board once")


def _named(where: str, fleet: Fleet, wave: tuple[str, ...]) -> list[Member]:
    for name in wave:
        if name not in fleet.boards:
            raise BoardError(f"{where}: waves name {name!r}, which is no board", mend=nearest(name, fleet.boards))
    return [fleet.boards[name] for name in wave]
