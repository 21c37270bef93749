"""After an interruption: what was half made goes, what was half switched goes back, what was kept stays."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from dis2_boards.agent import disk, environment, rigging, starting, switching
from dis2_boards.agent.fault import RefusedError
from dis2_boards.agent.places import Places, read_table


def mend(places: Places) -> list[str]:
    """Finish or undo all that another session left; what was done, in words. Only the holder of the lock may."""
    return [*_mend_switch(places), *_mend_versions(places), *_remove_beside(places)]


def _mend_switch(places: Places) -> Iterator[str]:
    if os.path.lexists(places.pending):
        pending = read_table(places.pending) or {}
        try:
            switching.undo(places)
        except RefusedError as error:  # `current` is set back all the same, and the lock must be had for a mend
            yield f"what flew before could not be started: {error}"
        yield f"the switch to {pending.get('id')} was never kept: {pending.get('before') or 'nothing'} flies"
        return
    if os.path.lexists(places.kept):
        starting.keep(places)
    elif os.path.lexists(places.service_before) or rigging.waits(places):
        starting.back(places)
        yield "it is started as before"
    if any(os.path.lexists(path) for path in switching.prepared(places)):
        switching.finish(places)
        yield "the rest of a switch was removed"


def _mend_versions(places: Places) -> Iterator[str]:
    for entry in sorted(places.versions.iterdir()):
        try:
            if entry.name.startswith("."):
                disk.remove_tree(entry)
                yield f"{entry.name}, half made, was removed"
            elif entry.is_dir():
                for name in environment.remove_unused(entry):
                    yield f"{entry.name}/{name}, in use by nothing, was removed"
        except PermissionError as error:  # another user's, who deployed here once: it is in nobody's way
            yield f"{entry.name}: {error.filename} cannot be removed"


def _remove_beside(places: Places) -> Iterator[str]:
    """Files that were being written beside their places."""
    folders = (places.root, places.stock, places.trusted, places.root / "state", *_versions(places))
    for folder in folders:
        for path in sorted(folder.glob(".*.new")):
            if path.parent != places.versions:
                disk.remove_tree(path)
                yield f"{path.name}, half written, was removed"


def _versions(places: Places) -> list[Path]:
    return [places.version(name) for name in places.standing()]
