"""The public keys that a board of this machine trusts, read by the very code that judges bundles on the board."""

from __future__ import annotations

from pathlib import Path

from dis2_boards.agent import judging
from dis2_boards.agent.fault import RefusedError
from dis2_boards.agent.places import USUAL_ROOT, Places
from dis2_boards.trust.keys import PublicKey
from dis2_edge.errors import KeyFileError

ROOT = Path(USUAL_ROOT)
"""A board's root, unless the user says otherwise."""


def trusted(root: Path) -> tuple[PublicKey, ...]:
    """The keys in `root`/trusted, by name; KeyFileError names one that is broken."""
    try:
        found = judging.keys(Places(_at_home(root)))
    except RefusedError as error:
        raise KeyFileError(error.found, expected=error.expected, mend=error.mend) from error
    except OSError as cause:
        raise KeyFileError(f"the keys of {root} cannot be read ({cause.strerror})") from cause
    return tuple(PublicKey(raw, name) for name, raw in found.items())


def _at_home(root: Path) -> Path:
    """`root` with its ~ told; a user without a home folder trusts nobody."""
    try:
        return root.expanduser()
    except RuntimeError:
        return root
