"""Serve one connection: read a request, do it, answer; one that fails is one error, and the next is read."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from typing import Any, BinaryIO

from dis2_boards.agent import asks, mending, starting, stock
from dis2_boards.agent.fault import GoneError, RefusedError
from dis2_boards.agent.session import Session
from dis2_boards.agent.verbs import VERBS
from dis2_boards.agent.wire import Wire


def serve(read: BinaryIO, write: BinaryIO) -> None:
    """Serve until the end of input; a switch that was not judged by then is undone."""
    session = Session(Wire(read, write), mending.mend, starting.back)
    try:
        while _one(session):
            pass
    except GoneError:
        pass
    finally:
        session.close()


def serve_alone(read: BinaryIO, write: BinaryIO) -> None:
    """Serve as a program of its own: nothing but answers reaches `write`, and a lost terminal ends nothing half-way."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(2, 1)
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # a handler, not SIG_IGN, which children would inherit
    signal.signal(signal.SIGTERM, _gone)
    os.umask(os.umask(0o022) | 0o022)  # what flies is nobody else's to change
    with contextlib.suppress(BrokenPipeError):
        serve(read, write)


def _gone(*_: object) -> None:
    raise GoneError("asked to end")


def _one(session: Session) -> bool:
    """One request; False at the end of input."""
    wire = session.wire
    try:
        ask = wire.ask()
    except RefusedError as error:
        wire.refuse(error)
        return True
    if ask is None:
        return False
    wire.expect(stock.announced(ask))
    try:
        _act(session, ask)
    except GoneError:
        raise
    except Exception as error:
        if not isinstance(error, (RefusedError, OSError)):
            traceback.print_exc(file=sys.stderr)
        session.log(f"{ask['ask']}"[:40], f"refused: {error}")
        wire.refuse(error)
        wire.drain()  # the workstation may be sending a file still
    return True


def _act(session: Session, ask: dict[str, Any]) -> None:
    verb = VERBS.get(ask["ask"])
    if verb is None:
        raise RefusedError(f"unknown request {ask['ask'][:80]!r}", expected=", ".join(VERBS))
    values = asks.checked(ask["ask"], verb.keys, ask)
    if verb.changes:
        session.hold()
    answer = verb.act(session, **values)
    session.wire.drain()
    if verb.noted and answer is not None:
        session.log(ask["ask"], verb.noted(answer, values))
    if answer is not None:
        session.wire.answer(answer)
