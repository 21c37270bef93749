"""Switch `current` by one rename, with the way back prepared before it: going back needs no room on the disk.

`begin`, then either `keep` or `back`; whatever is interrupted between them, `mending` ends.
"""

from __future__ import annotations

import os
import time
from typing import Any

from dis2_boards.agent import disk, environment, judging, launcher, services
from dis2_boards.agent.fault import RefusedError
from dis2_boards.agent.places import Places, as_json, pointed, read_table
from dis2_boards.agent.session import Session


def switch(session: Session, *, id: str) -> dict[str, Any]:
    """Let version `id` fly, not kept yet: `settle` judges it, and the end of the connection undoes it."""
    places = session.at()
    check_ready(places, id)
    before = begin(places, id)
    session.owes_judgement = True
    try:
        restart(places)
    except Exception:
        undo(places)
        session.owes_judgement = False
        raise
    return {"before": before}


def rollback(session: Session, *, to: str | None) -> dict[str, Any]:
    """Let a version fly again that flew before, at once and without a trial."""
    places = session.at()
    before, wanted = judging.flying(places), to or pointed(places.previous)
    if wanted is None:
        raise RefusedError("no version flew before this one", expected=", ".join(places.standing()) or "none is here")
    if wanted == before:
        raise RefusedError(f"version {wanted} flies already", expected=", ".join(places.standing()))
    check_ready(places, wanted)
    begin(places, wanted)
    try:
        restart(places)
    except Exception:
        undo(places)
        raise
    keep(places)
    return {"before": before, "current": wanted}


def check_ready(places: Places, name: str) -> None:
    """Version `name` is whole, trusted by the keys of today, installed and proven; else RefusedError."""
    judging.judge_standing(places, name)
    version = places.version(name)
    if not environment.stands(version):
        raise RefusedError(f"version {name} has no whole environment", mend="deploy it again")
    if not (read_table(version / "choice.json") or {}).get("engine"):
        raise RefusedError(f"version {name} was not proven on this board", mend="deploy it again")


def begin(places: Places, name: str) -> str | None:
    """Prepare the way back, write down what is begun, and point `current` at `name`; what flew before."""
    before = judging.flying(places)
    if before is not None and not judging.was_judged(places, before):
        before = None  # put there by hand: nothing of ours goes back to it
    if before is not None:
        disk.link_to(f"versions/{before}", places.way_back)
        disk.link_to(f"versions/{before}", places.next_previous)
    disk.write_whole(places.ticket, b"one start\n")
    row = {"id": name, "before": before, "boot": launcher.boot_id(), "since_s": time.time()}
    disk.write_whole(places.pending, as_json(row))
    if before != name:
        beside = places.root / ".current.next"
        disk.link_to(f"versions/{name}", beside)
        disk.rename(beside, places.current)
        disk.sync_folder(places.root)
    return before


def keep(places: Places) -> None:
    """What was begun is good: from the removal of pending.json on it is kept."""
    disk.unlink(places.pending)
    disk.sync_folder(places.root)
    finish(places)


def back(places: Places) -> bool:
    """What was begun is not good: `current` is what it was before. Whether it had to be set back."""
    pending = read_table(places.pending) or {}
    name, before = pending.get("id"), pending.get("before")
    turned = name != before and judging.flying(places) == name
    if turned and before is None:
        disk.unlink(places.current)
    elif turned:
        if not os.path.lexists(places.way_back):
            disk.link_to(f"versions/{before}", places.way_back)
        disk.rename(places.way_back, places.current)
    disk.sync_folder(places.root)
    disk.unlink(places.pending)
    disk.sync_folder(places.root)
    finish(places)
    return turned


def finish(places: Places) -> None:
    """After pending.json went: what flew before becomes `previous`, and what was prepared goes."""
    before = pointed(places.next_previous)
    if before is not None and before != judging.flying(places):
        disk.rename(places.next_previous, places.previous)
    for path in (places.ticket, places.next_previous, places.way_back, places.root / ".current.next"):
        disk.unlink(path)
    disk.sync_folder(places.root)


def undo(places: Places) -> None:
    """`back`, and start again what flew before, unless it was never interrupted."""
    before = (read_table(places.pending) or {}).get("before")
    turned = back(places)
    live = read_table(places.live) or {}
    if turned and not (before is not None and live.get("bundle") == before and services.of(places).state().alive):
        restart(places)


def restart(places: Places) -> None:
    """End what flies, and start what is current, if anything is."""
    service = services.of(places)
    service.stop()
    disk.unlink(places.live)
    if judging.flying(places) is not None:
        service.start()
