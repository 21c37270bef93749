"""`status`: versions, what flies, and whether it is well, in one answer."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any

from dis2_boards.agent import services
from dis2_boards.agent.places import Places, free_bytes, pointed, read_table
from dis2_boards.agent.session import Session

STALE_S = 10.0
"""What flies tells of itself once a second; after so long without a word it is not well."""


def status(session: Session) -> dict[str, Any]:
    """All that is known without changing anything."""
    places = session.at()
    live, service, current = read_table(places.live), services.of(places).state(), places.flying()
    healthy, why = health(live, service, current)
    table = read_table(places.service) or {}
    return {
        "current": current,
        "previous": pointed(places.previous),
        "pending": (read_table(places.pending) or {}).get("id"),
        "versions": [_version(places, name) for name in places.standing()],
        "live": live,
        "healthy": healthy,
        "why": why,
        "service": {
            "kind": services.kind_of(places),
            "command": table.get("command"),
            "args": table.get("args", []),
            "alive": service.alive,
            "restarts": service.restarts,
        },
        "telemetry": (live or {}).get("telemetry") or {},
        "free_bytes": free_bytes(places.root),
    }


def health(live: dict[str, Any] | None, service: services.State, current: str | None) -> tuple[bool | None, str]:
    """Whether what flies is well at this moment; None where nothing should fly, or nobody can tell."""
    if current is None:
        return None, "nothing flies"
    if service.alive is False:
        return False, service.why
    if live is None:
        return (None, service.why) if service.alive is None else (False, "it tells nothing of itself")
    if live.get("bundle") != current:
        return False, f"version {live.get('bundle')} flies, not {current}"
    written = live.get("written_s")
    age_s = time.time() - written if isinstance(written, (int, float)) else STALE_S
    if age_s >= STALE_S:
        return False, f"it last told of itself {age_s:.0f} s ago"
    if age_s <= -STALE_S:  # from before the clock was set back, as at a start without a battery
        return False, f"it last told of itself {-age_s:.0f} s ahead of the board's clock"
    return True, ""


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below `folder`; a file with two names counts in each folder that names it."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # another session may be removing it
                total += os.lstat(os.path.join(where, name)).st_size
    return total


def _version(places: Places, name: str) -> dict[str, Any]:
    folder = places.version(name)
    manifest, choice = read_table(folder / "bundle" / "manifest.json") or {}, read_table(folder / "choice.json")
    chosen = {key: choice.get(key) for key in ("engine", "precision")} if choice else None
    label = str(manifest.get("name", ""))
    return {"id": name, "name": label, "bytes": folder_bytes(folder), "chosen": chosen, "proven": chosen is not None}
