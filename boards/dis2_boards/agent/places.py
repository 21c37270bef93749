"""Where everything lies below ROOT, and how the small files there are read."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dis2_boards.agent import disk
from dis2_boards.agent.fault import RefusedError

ID = re.compile(r"[0-9a-f]{12}")
JSON_LIMIT = 16 << 20
"""Largest JSON file, in bytes, that is read at all."""
USUAL_ROOT = "~/dis2-edge"
"""ROOT, unless whoever deploys says otherwise."""
_SYSTEM = 0
"""The number of root, whose folders are as safe as the board."""
FOLDERS = ("versions", "stock", "engines", "trusted", "state", "reports")


@dataclass(frozen=True)
class Places:
    """The paths of one ROOT."""

    root: Path
    """The folder that holds everything."""

    @property
    def versions(self) -> Path:
        """The folder of versions."""
        return self.root / "versions"

    @property
    def stock(self) -> Path:
        """The folder of files received, each named by its SHA-256."""
        return self.root / "stock"

    @property
    def engines(self) -> Path:
        """TensorRT's plans and timing cache; they outlive versions."""
        return self.root / "engines"

    @property
    def trusted(self) -> Path:
        """The folder of keys that this board trusts."""
        return self.root / "trusted"

    @property
    def live(self) -> Path:
        """What flies tells of itself here, once a second."""
        return self.root / "state" / "live.json"

    @property
    def reports(self) -> Path:
        """The folder of reports made on the board."""
        return self.root / "reports"

    @property
    def current(self) -> Path:
        """The link to what flies."""
        return self.root / "current"

    @property
    def previous(self) -> Path:
        """The link to what flew before."""
        return self.root / "previous"

    @property
    def pending(self) -> Path:
        """A switch that was not kept yet."""
        return self.root / "pending.json"

    @property
    def kept(self) -> Path:
        """What pending.json becomes when the switch is kept, until all else that belongs to it is done."""
        return self.root / ".pending.kept"

    @property
    def ticket(self) -> Path:
        """Allows one start of a version that was not kept yet; the launcher tears it."""
        return self.root / ".pending.ticket"

    @property
    def way_back(self) -> Path:
        """The link that becomes `current` when a switch is not kept: made before it, as then the disk may be full."""
        return self.root / ".current.back"

    @property
    def next_previous(self) -> Path:
        """The link that becomes `previous` when a switch is kept."""
        return self.root / ".previous.next"

    @property
    def service(self) -> Path:
        """How what flies is started."""
        return self.root / "service.json"

    @property
    def service_before(self) -> Path:
        """How it was started before this deploy: it comes back where the new version is not kept."""
        return self.root / ".service.back"

    @property
    def lock(self) -> Path:
        """Held by whoever changes anything."""
        return self.root / "deploy.lock"

    @property
    def log(self) -> Path:
        """One line for each action."""
        return self.root / "deploy.log"

    def version(self, name: str) -> Path:
        """The folder of version `name`, which need not be there."""
        return self.versions / name

    def bundle(self, name: str) -> Path:
        """The bundle of version `name`."""
        return self.versions / name / "bundle"

    def flying(self) -> str | None:
        """The id of the version that flies; None where none does."""
        return pointed(self.current)

    def standing(self) -> list[str]:
        """The ids of the versions that are there, in order of name."""
        if not self.versions.is_dir():
            return []
        return sorted(entry.name for entry in os.scandir(self.versions) if ID.fullmatch(entry.name))


def pointed(link: Path) -> str | None:
    """The id of the version that `link` points at; None without a link, or where it points elsewhere or at nothing."""
    try:
        target = os.readlink(link)
    except OSError:
        return None
    folder, _, name = target.rpartition("/")
    usual = folder == "versions" or os.path.realpath(link.parent / folder) == os.path.realpath(link.parent / "versions")
    if not usual or not ID.fullmatch(name) or not (link.parent / target / "bundle").is_dir():
        return None
    return name


def free_bytes(path: Path) -> int:
    """Bytes that a user may still write where `path` is, or would be."""
    while not path.exists() and path != path.parent:
        path = path.parent
    state = os.statvfs(path)
    return state.f_bavail * state.f_frsize


def leads_elsewhere(link: Path) -> bool:
    """Whether `link` is something that is there and no version of ours: nothing could go back to it."""
    if not os.path.lexists(link):
        return False
    inside = os.path.dirname(os.path.realpath(link)) == os.path.realpath(link.parent / "versions")
    return not link.is_symlink() or (os.path.exists(link) and not inside)


def read_table(path: Path) -> dict[str, Any] | None:
    """The JSON table in `path`; None if there is no such file, or no table in it."""
    try:
        if path.stat().st_size > JSON_LIMIT:
            return None
        table = json.loads(b"".join(disk.pieces(path)).decode("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return table if isinstance(table, dict) else None


def as_json(table: Any) -> bytes:
    """`table` as the bytes of a JSON file."""
    return (json.dumps(table, indent=2, sort_keys=True) + "\n").encode("ascii")


def digest(path: Path) -> str:
    """The SHA-256 of a plain file; OSError if it is none."""
    total = hashlib.sha256()
    for piece in disk.pieces(path):
        total.update(piece)
    return total.hexdigest()


def checked_root(text: str) -> Path:
    """ROOT from a request: absolute or below the user's home, no folder of other things; empty for the usual one."""
    if any(ord(letter) < 32 or "\ud800" <= letter <= "\udfff" for letter in text):
        raise RefusedError(f"root {text!r} holds control characters", mend="choose another --root")
    root = Path(text or USUAL_ROOT).expanduser()
    if not root.is_absolute() or ".." in root.parts or len(root.parts) < 2 or root == Path.home():
        raise RefusedError(
            f"root {text!r}", expected="an absolute folder of its own, or one below ~", mend="choose --root"
        )
    root = _one_name(root)
    try:
        names = {entry.name for entry in os.scandir(root)}
    except FileNotFoundError:
        return root
    except NotADirectoryError as error:
        raise RefusedError(f"{root} is not a folder", mend="choose another --root") from error
    strange = sorted(name for name in names - {*FOLDERS, "rig.toml", "lost+found"} if not name.startswith("."))
    if strange and not {"versions", "deploy.lock"} & names:
        raise RefusedError(
            f"{root} holds other things already, as {strange[0]}", mend="choose an empty folder as --root"
        )
    return root


def _one_name(root: Path) -> Path:
    """`root` without links, as what flies is known by its name; a link to what is not there (a disk that is not
    mounted) is refused, as all would be written somewhere else."""
    for path in (root, *root.parents):
        if path.is_symlink() and not os.path.exists(path):
            found = f"{path} is a link to {os.readlink(path)}, which is not there"
            raise RefusedError(found, mend="mount what it leads to, or choose another --root")
    try:
        root = Path(os.path.realpath(root))
        owner = os.stat(root).st_uid
    except FileNotFoundError:
        return root
    if os.geteuid() not in (_SYSTEM, owner) and owner != _SYSTEM:
        found = f"{root} belongs to another user ({owner}), who could change what flies"
        raise RefusedError(found, mend="log in as that user, or choose another --root")
    return root
