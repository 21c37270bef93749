"""Switch `current` by one rename, with the way back prepared before it: going back needs no room on the disk.

`begin`, then either `keep` or `back`; whatever is interrupted between them, `mending` ends.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from dis2_boards.agent import disk, environment, judging, launcher, services, starting
from dis2_boards.agent.fault import RefusedError
from dis2_boards.agent.places import Places, as_json, pointed, read_table
from dis2_boards.agent.session import Session

_STANDING = "the versions that are there are listed by: dis2-edge status"


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
    before, wanted = places.flying(), to or pointed(places.previous)
    if wanted is None:
        raise RefusedError(
            f"no version flew before {before}" if before else "no version ever flew here", mend=_STANDING
        )
    if wanted == before:
        raise RefusedError(f"version {wanted} flies already", mend=_STANDING)
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
    before = places.flying()
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
    """What was begun is good: from the moment that pending.json has its other name it is kept."""
    disk.rename(places.pending, places.kept)
    disk.sync_folder(places.root)
    starting.keep(places)
    finish(places)


def forget_parts(places: Places) -> None:
    """Remove uploads that broke off and were not gone on with: a deploy that ended well needs none of them."""
    for path in sorted(places.stock.glob("*.part")):
        disk.unlink(path)


def back(places: Places) -> bool:
    """What was begun is not good: `current` is what it was before. Whether it had to be set back."""
    pending = read_table(places.pending) or {}
    name, before = pending.get("id"), pending.get("before")
    turned = name != before and places.flying() == name
    if turned and before is None:
        disk.unlink(places.current)
    elif turned:
        if not os.path.lexists(places.way_back):
            disk.link_to(f"versions/{before}", places.way_back)
        disk.rename(places.way_back, places.current)
    disk.sync_folder(places.root)
    starting.back(places)
    disk.unlink(places.pending)
    disk.sync_folder(places.root)
    finish(places)
    return turned


def finish(places: Places) -> None:
    """What flew before a switch that was kept becomes `previous`; what was prepared for either end goes."""
    before = pointed(places.next_previous)
    if os.path.lexists(places.kept) and before is not None and before != places.flying():
        disk.rename(places.next_previous, places.previous)
        disk.sync_folder(places.root)
    for path in prepared(places):
        disk.unlink(path)
    disk.sync_folder(places.root)


def prepared(places: Places) -> tuple[Path, ...]:
    """What a switch makes beside `current`; the note that it was kept goes last."""
    turning = places.root / ".current.next"
    return places.ticket, places.way_back, turning, places.next_previous, places.kept


def undo(places: Places) -> None:
    """`back`, and start again what flew before, unless it was never interrupted."""
    before = (read_table(places.pending) or {}).get("before")
    turned = back(places)
    live = read_table(places.live) or {}
    if turned and not (before is not None and live.get("bundle") == before and services.of(places).state().alive):
        restart(places)


def restart(places: Places) -> None:
    """End what flies, and start what is current, if anything is."""
    starting.stop_all(places)
    disk.unlink(places.live)
    if places.flying() is not None:
        services.of(places).start()
