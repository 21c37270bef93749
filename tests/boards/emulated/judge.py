"""What a board runs after a blow: exactly the old version, exactly the new one, or a fault that is named.

The judge reads the board's disk from here, by this machine's own code; the board then proves it by the version's own.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dis2_edge import bundle as bundles
from dis2_edge.errors import UserError

ID = re.compile(r"[0-9a-f]{12}")
NONE = "none"
"""What a board without `current` runs: right before the first deploy was ever kept, wrong after."""


@dataclass(frozen=True)
class State:
    """What lies on the board's disk."""

    runs: str
    """old, new or none: which version `current` names."""
    version: str
    """Its id."""
    pending: bool
    """Whether a switch was neither kept nor undone yet."""
    faults: tuple[str, ...]
    """All that must not be."""


def look(root: Path, known: Mapping[str, str]) -> State:
    """The state of the board's folder `root`; `known` says which id is old, and which new."""
    name, faults = _current(root / "current")
    runs = known.get(name, NONE) if name else NONE
    if name and name not in known:
        faults.append(f"current names {name}, which is neither the old version nor the new one")
    if name:
        faults += _faults_of(root / "versions" / name, name)
    faults += _torn(root)
    return State(runs, name, (root / "pending.json").exists(), tuple(faults))


def flies(root: Path) -> dict[str, Any]:
    """What the running version says of itself; empty where nothing was said."""
    try:
        table: dict[str, Any] = json.loads((root / "state" / "live.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return table


def rubbish(root: Path) -> list[str]:
    """Names that an interrupted deploy left and a finished one must have removed."""
    left = [path.name for path in (root / "versions").glob(".*")]
    left += [path.name for path in (root / "stock").glob("*.part")]
    return left + [name for name in ("pending.json", ".pending.ticket") if (root / name).exists()]


def _current(link: Path) -> tuple[str, list[str]]:
    """The id that `current` names; empty where there is no such link."""
    if not os.path.lexists(link):
        return "", []
    if not link.is_symlink():
        return "", ["current is no link"]
    folder, _, name = os.readlink(link).rpartition("/")
    if folder != "versions" or not ID.fullmatch(name):
        return "", [f"current names {os.readlink(link)!r}"]
    return name, []


def _faults_of(version: Path, name: str) -> list[str]:
    """What is wrong with the version that `current` names: it must be whole to the last bit."""
    faults = []
    try:
        bundle = bundles.read(version / "bundle")
        bundles.verify_hashes(bundle)
        if bundle.id != name:
            faults.append(f"versions/{name} holds the bundle {bundle.id}")
    except UserError as error:
        faults.append(f"its bundle: {error}")
    env = version / "env"
    if not env.is_symlink() or not (env / "bin").is_dir():
        faults.append("its environment is not there")
    for part in ("choice.json", "proof.json"):
        if not isinstance(_table(version / part), dict):
            faults.append(f"its {part} cannot be read")
    return faults


def _torn(root: Path) -> list[str]:
    """Files whose name says that they are whole, and that are not."""
    faults = [f"{name} cannot be read" for name in ("pending.json", "service.json") if _broken(root / name)]
    if not root.is_dir():
        return faults
    previous, more = _current(root / "previous")
    if previous and not (root / "versions" / previous / "bundle").is_dir():
        faults.append(f"previous names {previous}, which is not there")
    return faults + [fault.replace("current", "previous") for fault in more]


def _broken(path: Path) -> bool:
    return path.exists() and _table(path) is None


def _table(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
