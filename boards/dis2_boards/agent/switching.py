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
from dis2_boards.agent.places import ID, Places, as_json, leads_elsewhere, pointed, read_table
from dis2_boards.agent.session import Session

_STANDING = "the versions that are there are listed by: dis2-edge status"


def switch(session: Session, *, id: str) -> dict[str, Any]:
    """Let version `id` fly, not kept yet: `settle` judges it, and the end of the connection undoes it."""
    places = session.at()
    check_ready(places, id)
    return {"before": _begun(session, places, id)}


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
    _begun(session, places, wanted)
    keep(places)
    session.owes_judgement = False
    return {"before": before, "current": wanted}


def _begun(session: Session, places: Places, name: str) -> str | None:
    """`begin` and start; from before the first change on, an end of the session in between undoes it."""
    session.owes_judgement = True
    try:
        before = begin(places, name)
        restart(places)
    except Exception:
        undo(places)
        session.owes_judgement = False
        raise
    return before


def check_ready(places: Places, name: str) -> None:
    """Version `name` is whole, trusted by the keys of today, installed and proven; else RefusedError."""
    judging.judge_standing(places, name)
    version = places.version(name)
    if not environment.stands(version):
        raise RefusedError(f"version {name} has no whole environment", mend="deploy it again")
    if not (read_table(version / "choice.json") or {}).get("engine"):
        raise RefusedError(f"version {name} was not proven on this board", mend="deploy it again")
    if leads_elsewhere(places.current):
        found = f"{places.current} is no link to a version of this board, so nothing could go back to it"
        raise RefusedError(found, mend="move it away on the board")


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
    name, before = _pending(places)
    turned = name != before and places.flying() == name
    if turned and before is None:
        disk.unlink(places.current)
    elif turned:
        if pointed(places.way_back) != before:
            disk.link_to(f"versions/{before}", places.way_back)
        disk.rename(places.way_back, places.current)
    disk.sync_folder(places.root)
    starting.back(places)
    disk.unlink(places.pending)
    disk.sync_folder(places.root)
    finish(places)
    return turned


def _pending(places: Places) -> tuple[str | None, str | None]:
    """What was switched to, and what flew before and is there still.

    Where pending.json is damaged, the way back tells: it is there as long as nothing was kept.
    """
    table = read_table(places.pending)
    if table is None:
        before = pointed(places.way_back)
        return (places.flying() if before else None), before
    name, before = table.get("id"), table.get("before")
    there = isinstance(before, str) and ID.fullmatch(before) and places.bundle(before).is_dir()
    return (name if isinstance(name, str) else None), (before if there else None)


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
    before = _pending(places)[1]
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
