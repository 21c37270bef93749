"""`prune`: give room back. What flies, what flew before and what waits to be judged always stay."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dis2_boards.agent import disk, environment
from dis2_boards.agent.places import Places, free_bytes, pointed, read_table
from dis2_boards.agent.placing import remove_version
from dis2_boards.agent.session import Session


def prune(session: Session, *, keep: int) -> dict[str, Any]:
    """Keep the `keep` newest beside those; remove the other versions, unused stock, plans of models that are gone."""
    places = session.at()
    free = free_bytes(places.root)
    stay = {places.flying(), pointed(places.previous), _pending(places)}
    newest = sorted(places.standing(), key=lambda name: _placed_s(places, name), reverse=True)
    removed = [name for name in newest if name not in stay][keep:]
    removed = [name for name in removed if not environment.flies(places.version(name))]
    size = 0
    for name in removed:
        size += _own_bytes(places.version(name))
        remove_version(places, name)
    size += _remove(_unused_stock(places)) + _remove(_old_plans(places))
    for folder in (places.stock, places.engines):
        disk.sync_folder(folder)
    return {"removed": removed, "freed_bytes": size, "gained_bytes": max(0, free_bytes(places.root) - free)}


def _pending(places: Places) -> str | None:
    return (read_table(places.pending) or {}).get("id")


def _placed_s(places: Places, name: str) -> float:
    try:
        return (places.version(name) / "bundle").stat().st_mtime
    except OSError:
        return 0.0


def _own_bytes(folder: Path) -> int:
    """Bytes that go with `folder`: of files that have no other name."""
    found = (os.lstat(os.path.join(where, name)) for where, _, names in os.walk(folder) for name in names)
    return sum(state.st_size for state in found if state.st_nlink == 1)


def _used(places: Places) -> set[str]:
    """SHA-256 of all that the versions are made of."""
    used: set[str] = set()
    for name in places.standing():
        used |= set(_models(places, name))
        used |= {str(sha) for sha in environment.used_wheels(places.version(name))}
    return used


def _models(places: Places, name: str) -> list[str]:
    manifest = read_table(places.bundle(name) / "manifest.json") or {}
    files = manifest.get("files")
    return (
        [str(row.get("sha256")) for row in files.values() if isinstance(row, dict)] if isinstance(files, dict) else []
    )


def _unused_stock(places: Places) -> Iterator[Path]:
    used = _used(places)
    for entry in sorted(places.stock.iterdir()):
        if entry.name not in used and not (entry.is_file() and entry.stat().st_nlink > 1):
            yield entry


def _old_plans(places: Places) -> Iterator[Path]:
    """Plans, each with the note beside it, of models that no version has any more; timings serve all."""
    used = _used(places)
    for note in sorted(places.engines.glob("*.json")):
        key = (read_table(note) or {}).get("key")
        model = key.get("model") if isinstance(key, dict) else None
        if isinstance(model, str) and model not in used:
            yield from (path for path in (note, note.with_suffix(".plan")) if path.exists())


def _remove(paths: Iterator[Path]) -> int:
    size = 0
    for path in list(paths):
        size += os.lstat(path).st_size
        disk.remove_tree(path)
    return size
