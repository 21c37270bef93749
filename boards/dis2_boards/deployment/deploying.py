"""One deploy, from greeting a board to a new version that it keeps, or to the old one that it kept."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from dis2_boards.deployment import changing, preparing, steps
from dis2_boards.deployment.attempt import Attempt, told_interrupted, told_lost, told_with_state
from dis2_boards.deployment.checks import BundleCase
from dis2_boards.deployment.deployed import Deployed
from dis2_boards.deployment.order import Order
from dis2_boards.deployment.telling import Telling
from dis2_boards.targets.session import Session
from dis2_edge.errors import BoardError, LostError, UserError
from dis2_edge.files import read_json


def deploy(order: Order, telling: Telling) -> Deployed:
    """Do `order`; a UserError says why not, and what the board runs then."""
    preparing.look_here(order)
    attempt = Attempt(order, telling)
    try:
        with attempt.step(steps.HELLO):
            session = order.target.open()
        with session, tempfile.TemporaryDirectory(prefix="dis2-edge-") as scratch:
            return _deploy(attempt, session, Path(scratch))
    except LostError as error:
        raise told_lost(attempt, error) from error
    except UserError as error:
        raise told_with_state(attempt, error) from error
    except KeyboardInterrupt:
        telling.remark(told_interrupted(attempt))
        raise


def _deploy(attempt: Attempt, session: Session, scratch: Path) -> Deployed:
    case = preparing.checked(attempt, session, scratch)
    already = _already(attempt, session, case, scratch)
    if already is not None:
        return already
    load = preparing.loaded(attempt, case, scratch)
    changing.take(attempt, session)
    sent = changing.send_what_lacks(attempt, session, case, load)
    sent += changing.place(attempt, session, load)
    changing.install(attempt, session, case, load)
    proof = changing.prove(attempt, session, load)
    reports = changing.report(attempt, session, load, proof)
    flew = changing.switch(attempt, session, load)
    why = changing.settle(attempt, session, load)
    return Deployed(
        bundle=case.bundle,
        target=attempt.order.target.name,
        before=flew,
        proof=proof,
        why=why,
        already=False,
        sent_bytes=sent,
        total_bytes=load.total_bytes,
        seconds=attempt.seconds,
        reports=reports,
    )


def _already(attempt: Attempt, session: Session, case: BundleCase, scratch: Path) -> Deployed | None:
    """What is told where the bundle flies there already and is well: then nothing is touched."""
    order = attempt.order
    if case.facts.current != case.bundle.id or not (order.plain or order.only_new):
        return None
    status = session.ask("status")
    well = (True, None) if order.only_new else (True,)  # None: nobody can tell, as it is started by others
    if status.get("healthy") not in well or status.get("pending"):
        return None
    return Deployed(
        bundle=case.bundle,
        target=order.target.name,
        before=case.bundle.id,
        proof=_proof(session, case.bundle.id, scratch),
        why="it flies already: nothing was touched",
        already=True,
        sent_bytes=0,
        total_bytes=0,
        seconds=attempt.seconds,
    )


def _proof(session: Session, name: str, scratch: Path) -> dict[str, Any]:
    """What the board proved of version `name` when it came; empty where that cannot be had."""
    try:
        session.fetch(f"versions/{name}/proof.json", scratch / "proof.json")
        proof = read_json(scratch / "proof.json", BoardError)
    except LostError:
        raise
    except UserError:
        return {}
    return proof if isinstance(proof, dict) else {}
