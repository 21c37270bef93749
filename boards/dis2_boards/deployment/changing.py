"""All that changes a board, each step of which leaves it whole: send, place, install, prove, switch, settle."""

from __future__ import annotations

import getpass
import importlib.util
import socket
from pathlib import Path
from typing import Any

from dis2_boards.deployment import steps
from dis2_boards.deployment.attempt import Attempt, runs_now
from dis2_boards.deployment.checks import BundleCase
from dis2_boards.deployment.needs import room
from dis2_boards.deployment.sending import lacking, send
from dis2_boards.deployment.shipment import Shipment
from dis2_boards.targets.session import Session
from dis2_boards.targets.target import Target
from dis2_edge import __version__
from dis2_edge.errors import BoardError, LostError, RolledBackError
from dis2_edge.files import write_json
from dis2_edge.quantities import megabytes
from dis2_edge.report.write import JSON, draw

MIN_TICKS = 5
"""Ticks that a new version must have answered to be kept."""


def who() -> str:
    """Who changes a board, for whoever has to wait."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "somebody"
    return f"{user}@{socket.gethostname()} with dis2-edge {__version__}"


def hold(target: Target, session: Session, wait_s: float) -> None:
    """Hold, until the end of the session, a board that something was deployed to; nothing is made where nothing was."""
    if session.hello.get("deployed") is False:
        raise BoardError(
            f"nothing was ever deployed to {target.name} ({session.hello.get('root')})",
            expected="a board's root folder",
            mend="give it with --target or --root",
        )
    session.ask("lock", wait_s=wait_s, who=who())


def take(attempt: Attempt, session: Session) -> None:
    """Hold the board until the end of the session; another deploy that holds it is waited for, or refuses this one."""
    with attempt.step(steps.LOCK):
        session.ask("lock", attempt.telling.progress, wait_s=attempt.order.wait_s, who=who())
        attempt.changes = True


def send_what_lacks(attempt: Attempt, session: Session, case: BundleCase, load: Shipment) -> int:
    """Send it, once it is known to fit; returns the bytes that travelled."""
    with attempt.step(steps.HAVE):
        lacks = lacking(session, load)
        _check_room(session, case, load, lacks.bytes)
    with attempt.step(steps.PUT):
        return send(session, lacks, attempt.telling.progress)


def place(attempt: Attempt, session: Session, load: Shipment) -> int:
    """Place the bundle; what the board finds damaged in its stock is sent anew, once. Returns the bytes of that."""
    files = {name: [piece.sha256, piece.bytes] for name, piece in load.files.items()}
    with attempt.step(steps.PLACE):
        try:
            _ask(attempt, session, "place", id=load.bundle.id, files=files)
            return 0
        except LostError:
            raise
        except BoardError:
            lacks = lacking(session, load)
            if not lacks.pieces:
                raise
        sent = send(session, lacks, attempt.telling.progress)
        _ask(attempt, session, "place", id=load.bundle.id, files=files)
        return sent


def install(attempt: Attempt, session: Session, case: BundleCase, load: Shipment) -> None:
    """Make the version's own environment, without a network."""
    rows = [[wheel.filename, wheel.sha256, wheel.bytes] for wheel in load.wheels]
    with attempt.step(steps.INSTALL):
        _ask(attempt, session, "install", id=load.bundle.id, wheels=rows, system_packages=case.tensorrt)


def prove(attempt: Attempt, session: Session, load: Shipment) -> dict[str, Any]:
    """What the board proved of the new version, which it will fly in the precision that it chose."""
    order = attempt.order
    words = {"engine": order.engine, "limit_s": order.limit_s, "max_drop": order.max_drop}
    tiles = load.tiles.sha256 if load.tiles else None
    with attempt.step(steps.PROVE):
        proof: dict[str, Any] = _ask(attempt, session, "prove", id=load.bundle.id, tiles=tiles, **words)["proof"]
        if not proof.get("chosen"):
            raise BoardError(
                f"no engine of {load.bundle.id} passed on {order.target.name}: {proof.get('why') or 'no reason told'}",
                expected="one that answers as the goldens do, in every scenario",
                mend="look at the run here: dis2-edge bundle verify BUNDLE",
            )
    return proof


def report(attempt: Attempt, session: Session, load: Shipment, proof: dict[str, Any]) -> tuple[Path, ...]:
    """Fetch what the board measured on the tiles, and draw its page here: a board has nothing to draw with."""
    folder = attempt.order.report
    if folder is None or load.tiles is None:
        return ()
    with attempt.step(steps.REPORT):
        session.fetch(f"reports/{load.bundle.id}/{JSON}", folder / JSON)
        write_json(folder / "proof.json", proof)
        if importlib.util.find_spec("jinja2") is None:
            attempt.telling.remark(f"{folder} has no page: pip install 'dis2-edge[report]'")
            return (folder / JSON, folder / "proof.json")
        draw(folder)
    return (folder / "report.html", folder / JSON, folder / "proof.json")


def switch(attempt: Attempt, session: Session, load: Shipment) -> str | None:
    """Let the new version fly, not kept yet; what flew before."""
    order = attempt.order
    if order.service is not None or load.rig is not None:
        with attempt.step(steps.SERVICE):
            if load.rig is not None:
                _ask(attempt, session, "rig", sha256=load.rig.sha256, bytes=load.rig.bytes)
            if order.service is not None:
                _ask(attempt, session, "service", kind=order.service)
    with attempt.step(steps.SWITCH):
        before = _ask(attempt, session, "switch", id=load.bundle.id).get("before")
        return str(before) if before else None


def settle(attempt: Attempt, session: Session, load: Shipment) -> str:
    """Why the new version is kept; one that is not is a RolledBackError."""
    name = attempt.order.target.name
    with attempt.step(steps.SETTLE):
        verdict = _ask(attempt, session, "settle", wait_s=attempt.order.settle_s, min_ticks=MIN_TICKS)
    if verdict.get("kept"):
        return str(verdict.get("why", ""))
    attempt.changes = False  # what it runs now is told here
    raise RolledBackError(
        f"{name} did not keep {load.bundle.id}: {verdict.get('why')}",
        expected="a version that flies and stays well",
        mend=f"it went back by itself: {runs_now(name, session)}; look at {attempt.facts.root if attempt.facts else ''}"
        f"/service.out there, and at: {attempt.order.ask('status')}",
    )


def _check_room(session: Session, case: BundleCase, load: Shipment, lacking_bytes: int) -> None:
    """Refuse before anything is sent what would not fit; asked after the lock, which tidies up on the board."""
    needed = room(load, lacking_bytes, tensorrt=case.tensorrt)
    free = int(session.ask("status").get("free_bytes", case.facts.free_bytes))
    if free < needed.total:
        raise BoardError(
            f"{case.order.target.name} has {megabytes(free)} free at {case.facts.root}",
            expected=f"{megabytes(needed.total)}: {needed}",
            mend=f"remove old versions: {case.order.ask('prune')}; or choose a folder on a larger disk: --root",
        )


def _ask(attempt: Attempt, session: Session, verb: str, **words: Any) -> dict[str, Any]:
    return session.ask(verb, attempt.telling.progress, **words)
