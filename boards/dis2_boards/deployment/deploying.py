"""One deploy, from greeting a board to a new version that it keeps, or to the old one that it kept."""

from __future__ import annotations

import getpass
import socket
import tempfile
from pathlib import Path
from typing import Any

from dis2_boards.deployment import steps
from dis2_boards.deployment.bundle_checks import BUNDLE_CHECKS, remarks
from dis2_boards.deployment.case import BundleCase, Case, hold
from dis2_boards.deployment.deployed import Deployed
from dis2_boards.deployment.facts import facts_of
from dis2_boards.deployment.machine_checks import MACHINE_CHECKS
from dis2_boards.deployment.needs import megabytes, room
from dis2_boards.deployment.order import Order
from dis2_boards.deployment.packed import packed
from dis2_boards.deployment.sending import Lacking, lacking, send
from dis2_boards.deployment.shipment import Shipment, shipment
from dis2_boards.deployment.telling import Telling
from dis2_boards.deployment.way import Way, aside, interrupted, running, taken
from dis2_boards.deployment.wheels import find, read_lock
from dis2_boards.targets.session import Session
from dis2_edge import __version__
from dis2_edge.errors import BoardError, LostError, UserError

WHEELS = Path("~/.cache/dis2-edge/wheels")
"""Where wheels lie where nothing else is said."""
MIN_TICKS = 5
"""Ticks that a new version must have answered to be kept."""


def deploy(order: Order, telling: Telling) -> Deployed:
    """Do `order`; a UserError says why not, and what the board runs then."""
    way = Way(order, telling)
    try:
        with way.step(steps.HELLO):
            session = order.target.open()
        with session, tempfile.TemporaryDirectory(prefix="dis2-edge-") as scratch:
            return _deploy(way, session, Path(scratch))
    except LostError as error:
        raise taken(way, error) from error
    except UserError as error:
        raise aside(way, error) from error
    except KeyboardInterrupt:
        telling.remark(interrupted(way))
        raise


def _deploy(way: Way, session: Session, scratch: Path) -> Deployed:
    case, load = _checked(way, session, scratch)
    with way.step(steps.LOCK):
        session.ask("lock", way.telling.progress, wait_s=way.order.wait_s, who=who())
        way.changes = True
    with way.step(steps.HAVE):
        lacks = lacking(session, load)
        _check_room(case, load, session, lacks.bytes)
    with way.step(steps.PUT):
        sent = send(session, load, lacks, way.telling.progress)
    with way.step(steps.PLACE):
        sent += _place(way, session, load)
    with way.step(steps.INSTALL):
        rows = [[wheel.filename, wheel.sha256, wheel.bytes] for wheel in load.wheels]
        _ask(way, session, "install", id=load.bundle.id, wheels=rows, system_packages=case.tensorrt)
    with way.step(steps.PROVE):
        proof = _proof(way, session, load)
    before, why = _switched(way, session, load)
    name = way.order.target.name
    return Deployed(load.bundle, name, before, proof, why, sent, load.total_bytes, way.seconds)


def _checked(way: Way, session: Session, scratch: Path) -> tuple[BundleCase, Shipment]:
    """The bundle, and what travels for it, once everything that must hold on the board does."""
    order, facts = way.order, facts_of(session.hello)
    way.facts = facts
    hold(Case(order, facts, session.ahead_s), MACHINE_CHECKS)
    with way.step(steps.PACK):
        bundle, board = packed(order, facts, scratch)
    with way.step(steps.CHECK):
        case = BundleCase(order, facts, session.ahead_s, bundle, board)
        hold(case, BUNDLE_CHECKS)
        wheels = tuple(read_lock(bundle, facts.tag))
        load = shipment(bundle, wheels, find(wheels, (order.wheels or WHEELS).expanduser()))
    for text in remarks(case):
        way.telling.remark(text)
    return case, load


def _check_room(case: BundleCase, load: Shipment, session: Session, lacking_bytes: int) -> None:
    """Refuse before anything is sent where it would not fit; asked after the lock, which tidies up on the board."""
    needed = room(load, lacking_bytes, tensorrt=case.tensorrt)
    free = int(session.ask("status").get("free_bytes", case.facts.free_bytes))
    if free < needed.total:
        raise BoardError(
            f"{case.order.target.name} has {megabytes(free)} free at {case.facts.root}",
            expected=f"{megabytes(needed.total)}: {needed}",
            mend=f"remove old versions: {case.order.ask('prune')}; or choose a folder on a larger disk: --root",
        )


def _place(way: Way, session: Session, load: Shipment) -> int:
    """Place the bundle; what the board finds damaged in its stock is sent anew, once. Returns the bytes of that."""
    files = {name: [piece.sha256, piece.bytes] for name, piece in load.files.items()}
    try:
        _ask(way, session, "place", id=load.bundle.id, files=files)
        return 0
    except LostError:
        raise
    except BoardError:
        lacks: Lacking = lacking(session, load)
        if not lacks.pieces:
            raise
    sent = send(session, load, lacks, way.telling.progress)
    _ask(way, session, "place", id=load.bundle.id, files=files)
    return sent


def _proof(way: Way, session: Session, load: Shipment) -> dict[str, Any]:
    """What the board proved of the new version, which it will fly in the precision that it chose."""
    tiles = load.tiles.sha256 if load.tiles else None
    order = way.order
    answer = _ask(
        way,
        session,
        "prove",
        id=load.bundle.id,
        engine=order.engine,
        limit_s=order.limit_s,
        max_drop=order.max_drop,
        tiles=tiles,
    )
    proof: dict[str, Any] = answer["proof"]
    if not proof.get("chosen"):
        raise BoardError(
            f"no engine of {load.bundle.id} passed on {order.target.name}: {proof.get('why') or 'no reason was told'}",
            expected="one that answers as the goldens do, in every scenario",
            mend="check the run here: dis2-edge bundle verify BUNDLE",
        )
    return proof


def _switched(way: Way, session: Session, load: Shipment) -> tuple[str | None, str]:
    """What flew before, and why the new version is kept; one that is not kept is a BoardError."""
    order = way.order
    if order.service is not None:
        with way.step(steps.SERVICE):
            _ask(way, session, "service", kind=order.service, command=list(order.command) or None)
    with way.step(steps.SWITCH):
        before = _ask(way, session, "switch", id=load.bundle.id).get("before")
    with way.step(steps.SETTLE):
        verdict = _ask(way, session, "settle", wait_s=order.settle_s, min_ticks=MIN_TICKS)
    if not verdict.get("kept"):
        way.changes = False  # what it runs now is told here
        raise BoardError(
            f"{order.target.name} did not keep {load.bundle.id}: {verdict.get('why')}",
            expected="a version that flies and stays healthy",
            mend=f"it went back by itself: {running(order.target.name, session)}; see what was said there: "
            f"{order.ask('status')}",
        )
    return before, str(verdict.get("why", ""))


def _ask(way: Way, session: Session, verb: str, **words: Any) -> dict[str, Any]:
    return session.ask(verb, way.telling.progress, **words)


def who() -> str:
    """Who deploys, for whoever has to wait."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "somebody"
    return f"{user}@{socket.gethostname()} with dis2-edge {__version__}"
