"""`settle`: watch what was switched to, then keep it or go back. What falls over and starts again must not pass."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

from dis2_boards.agent import services, switching
from dis2_boards.agent.fault import RefusedError
from dis2_boards.agent.places import Places, read_table
from dis2_boards.agent.session import Session

_POLL_S = 0.1
_WATCH_S = 5.0
"""How long it is watched at least, where there is time for it: longer than systemd takes to start it anew."""

_WORDS = 2000
"""Bytes at the end of service.out in which its last line is looked for."""


@dataclass
class _Seen:
    """The first word of what flies: all later ones must be of the same process."""

    pid: Any
    started_s: Any
    ticks: int
    at_s: float
    restarts: int


def settle(session: Session, *, wait_s: float, min_ticks: int, watch_s: float | None) -> dict[str, Any]:
    """Keep what was switched to if it proves healthy within `wait_s` seconds; else go back. Which, and why."""
    places = session.at()
    pending = read_table(places.pending)
    if pending is None:
        raise RefusedError("no switch waits to be judged", mend="switch first")
    watch_s = min(_WATCH_S, wait_s / 2) if watch_s is None else min(watch_s, wait_s)
    kept, why = _watch(session, places, str(pending.get("id")), wait_s, min_ticks, watch_s)
    if kept:
        switching.keep(places)
        switching.forget_parts(places)
    else:
        why = _gone_back(places, f"{why}{_last_words(places, pending.get('since_s'))}")
    session.owes_judgement = False
    return {"kept": kept, "why": why}


def _gone_back(places: Places, why: str) -> str:
    try:
        switching.undo(places)
    except RefusedError as error:
        return f"{why}; what flew before is current again, but could not be started: {error}"
    return why


def _last_words(places: Places, since_s: Any) -> str:
    """The last line that what flies left in service.out since it was switched to; empty where there is none."""
    out = places.root / "service.out"
    try:
        if not isinstance(since_s, (int, float)) or out.stat().st_mtime < since_s:
            return ""
        with out.open("rb") as file:
            file.seek(max(0, out.stat().st_size - _WORDS))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    said = [line.strip() for line in lines if line.strip()]
    return f"; its last words: {said[-1]}" if said else ""


def _watch(
    session: Session, places: Places, name: str, wait_s: float, min_ticks: int, watch_s: float
) -> tuple[bool, str]:
    """Whether version `name` lives, is one process, and answered `min_ticks` ticks over `watch_s` seconds or more."""
    began = time.monotonic()
    seen: _Seen | None = None
    why = "it told nothing of itself"
    while True:
        if places.flying() != name:
            return False, "the launcher went back by itself: it had to be started twice"
        state, live = services.of(places).state(), read_table(places.live)
        if state.alive is None:
            return True, "no service starts it: the proof on the goldens is what there is"
        if not state.alive:
            return False, state.why or "it does not run"
        if live is not None and live.get("bundle") == name:
            seen = seen or _seen(live, state)
            fault = _fault(seen, live, state)
            if fault:
                return False, fault
            ticks, passed = _ticks(live) - seen.ticks, time.monotonic() - seen.at_s
            session.wire.tell("ticks answered", min(ticks, min_ticks), min_ticks)
            if ticks >= min_ticks and passed >= watch_s:
                return True, f"{ticks} ticks in {passed:.1f} s by one process"
            why = f"{ticks} of {min_ticks} ticks in {passed:.1f} s"
        if time.monotonic() - began >= wait_s:
            return False, f"{why}, in the {wait_s:.0f} s that it had"
        time.sleep(_POLL_S)


def _seen(live: dict[str, Any], state: services.State) -> _Seen:
    return _Seen(live.get("pid"), live.get("started_s"), _ticks(live), time.monotonic(), state.restarts)


def _fault(seen: _Seen, live: dict[str, Any], state: services.State) -> str:
    """What is wrong with it at this moment; empty if nothing is."""
    if (live.get("pid"), live.get("started_s")) != (seen.pid, seen.started_s):
        return "it ended and was started anew while it was watched"
    if state.restarts != seen.restarts:
        return "its manager had to start it anew while it was watched"
    if not isinstance(seen.pid, int) or not os.path.exists(f"/proc/{seen.pid}"):
        return "its process is gone"
    return ""


def _ticks(live: dict[str, Any]) -> int:
    ticks = live.get("ticks")
    return ticks if isinstance(ticks, int) else 0
