"""`service`: how what flies is started. What was said before comes back if the switch that follows is not kept."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from dis2_boards.agent import disk, rigging, services
from dis2_boards.agent.fault import RefusedError
from dis2_boards.agent.places import Places, as_json, read_table
from dis2_boards.agent.session import Session


def service(
    session: Session, *, kind: str, command: list[str] | None, args: list[str], sources: dict[str, str]
) -> dict[str, Any]:
    """Set it up, from the next start on.

    In `command` and `args` these are filled in: {python}, {bundle}, {root}, {engine} and {precision}.
    """
    places = session.at()
    words = [*args, *(word for name, uri in sources.items() for word in ("--source", f"{name}={uri}"))]
    table = {"kind": kind, "command": command, "args": words}
    if table == read_table(places.service):
        return {}
    services.of(places, kind).set_up()
    if places.service.exists() and not places.service_before.exists():
        disk.same_file(places.service, places.service_before)
        disk.sync_folder(places.root)
    disk.write_whole(places.service, as_json(table))
    return {}


def keep(places: Places) -> None:
    """The new rig and the new way of starting stay: that of before is taken down where it was of another kind."""
    rigging.keep(places)
    before, now = _kind_before(places), services.kind_of(places)
    if before not in (None, now):
        with contextlib.suppress(RefusedError):
            services.of(places, before).take_down()
    disk.unlink(places.service_before)


def back(places: Places) -> None:
    """The way of starting of before comes back, and the rig with it."""
    rigging.back(places)
    before, now = _kind_before(places), services.kind_of(places)
    if before is None:
        return
    disk.bring_back(places.service_before, places.service)
    disk.sync_folder(places.root)
    if before != now:
        with contextlib.suppress(RefusedError):
            services.of(places, now).take_down()


def stop_all(places: Places) -> None:
    """End what flies, started in whichever of both ways."""
    for kind in sorted({services.kind_of(places), _kind_before(places) or services.kind_of(places)}):
        services.of(places, kind).stop()


def _kind_before(places: Places) -> str | None:
    if not os.path.lexists(places.service_before):
        return None
    return str((read_table(places.service_before) or {}).get("kind", "none"))
