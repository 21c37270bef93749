"""How what flies is started: by systemd (the user's or the system's), as a process of its own, or not at all by us."""

from __future__ import annotations

from dis2_boards.agent.places import Places, read_table
from dis2_boards.agent.services.kinds import KINDS, Kind, NoService, Service, State
from dis2_boards.agent.services.process import ProcessService
from dis2_boards.agent.services.systemd import SystemdService

__all__ = ["KINDS", "Kind", "Service", "State", "kind_of", "of"]


def kind_of(places: Places) -> str:
    """The kind that service.json names; `none` where there is none."""
    kind = (read_table(places.service) or {}).get("kind")
    return kind if kind in KINDS else "none"


def of(places: Places, kind: str | None = None) -> Service:
    """The service of ROOT, or what it would be with another kind."""
    kind = kind or kind_of(places)
    if kind == "process":
        return ProcessService(places)
    if kind in ("systemd", "systemd-user"):
        return SystemdService(places, user=kind == "systemd-user")
    return NoService()
