"""`rig`: the aircraft's rig. As with the way of starting, that of before comes back if the switch is not kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from dis2_boards.agent import disk, stock
from dis2_boards.agent.places import Places, digest
from dis2_boards.agent.session import Session


def rig(session: Session, *, sha256: str, bytes: int) -> dict[str, Any]:
    """Put the file of the stock in the rig's place, for the next start; whether it is another one than before."""
    places = session.at()
    stock.check(places, [(sha256, bytes)])
    rig, before = _rig(places), _before(places)
    if rig.is_file() and digest(rig) == sha256:
        return {"changed": False}
    if not os.path.lexists(before):
        if rig.is_file():
            disk.same_file(rig, before)
        else:
            disk.write_whole(before, b"")  # an empty one stands for none
        disk.sync_folder(places.root)
    disk.write_whole(rig, b"".join(disk.pieces(places.stock / sha256)))
    return {"changed": True}


def waits(places: Places) -> bool:
    """Whether a new rig waits for its switch to be judged."""
    return os.path.lexists(_before(places))


def keep(places: Places) -> None:
    """The new rig stays."""
    disk.unlink(_before(places))


def back(places: Places) -> None:
    """The rig of before comes back."""
    if not waits(places):
        return
    if _before(places).stat().st_size:
        disk.bring_back(_before(places), _rig(places))
    else:
        disk.unlink(_rig(places))
        disk.unlink(_before(places))
    disk.sync_folder(places.root)


def _rig(places: Places) -> Path:
    return places.root / "rig.toml"


def _before(places: Places) -> Path:
    return places.root / ".rig.back"
