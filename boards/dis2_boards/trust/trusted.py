"""The public keys that a board trusts: `ROOT/trusted/NAME.pub`. Without any, a board takes every bundle."""

from __future__ import annotations

import re
from pathlib import Path

from dis2_boards.trust.keys import PublicKey, load_public
from dis2_edge.errors import KeyFileError
from dis2_edge.files import write_text

ROOT = Path("~/dis2-edge")
"""A board's root, unless the user says otherwise."""
FOLDER = "trusted"
"""The keys' folder below a board's root."""
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")


def trusted(root: Path) -> tuple[PublicKey, ...]:
    """The keys that the board whose root folder is `root` trusts, by name; KeyFileError names one that is broken."""
    folder = _at_home(root) / FOLDER
    try:
        found = sorted(folder.glob("*.pub"))
    except OSError as cause:
        raise KeyFileError(f"{folder} cannot be read ({cause.strerror})") from cause
    return tuple(load_public(path) for path in found)


def trust(root: Path, key: PublicKey, name: str = "") -> Path:
    """Let the board whose root folder is `root` trust `key` by a name (default: the key's own); the file that says so.

    A name that stands for another key already is refused: what a board trusts is not replaced unseen.
    """
    name = check_name(name or key.name or key.id)
    path = _at_home(root) / FOLDER / f"{name}.pub"
    if path.exists() and load_public(path).raw != key.raw:
        raise KeyFileError(f"{path} is another key already", mend="give this one another --name, or remove that file")
    write_text(path, key.line())
    return path


def check_name(name: str) -> str:
    """`name` itself if a key's file can be called so; else KeyFileError."""
    if not _NAME.fullmatch(name):
        raise KeyFileError(f"{name!r} is no name for a key", expected="letters, digits and ._-, at most 64")
    return name


def _at_home(root: Path) -> Path:
    """`root` with its ~ told; a user without a home folder trusts nobody."""
    try:
        return root.expanduser()
    except RuntimeError:
        return root
