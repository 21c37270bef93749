"""One board's part of a roll-out, started by ansible on this machine: `dis2-edge deploy` with that board's words.

All safety stays in `deploy`; this only refuses to begin after a stop, keeps the log, and writes down how it went.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from dis2_boards.fleet import outcome
from dis2_boards.fleet.desk import Desk, Order
from dis2_boards.fleet.outcome import Outcome
from dis2_edge.errors import UserError

DESK = "DIS2_EDGE_FLEET_DESK"
"""Name of the environment variable that holds the roll-out's folder."""
_TAKEN, _FAILED, _NOT_TRIED = 0, 1, 3
_LOOK_S = 0.2
"""Time between two looks at the desk while `deploy` runs."""
_LAST_WORDS = 4000
"""Bytes of a log's end in which its reason is looked for."""


def main(board: str) -> int:
    """Deploy to `board`; 0 when it flies the bundle, which is all that ansible needs to know."""
    desk = Desk(Path(os.environ[DESK]))
    if desk.stopped():
        return _NOT_TRIED
    if desk.told(board).state != "not tried":
        return _FAILED
    desk.tell(board, Outcome("running", why="it was left while it ran; `dis2-edge status` tells"))
    how = _deploy(board, desk.order(), desk)
    desk.tell(board, how)
    return _TAKEN if how.flies else _FAILED


def _deploy(board: str, order: Order, desk: Desk) -> Outcome:
    record, log = desk.folder / f"{board}.record.json", Path(order.logs) / f"{board}.log"
    words = [*order.command, "deploy", order.bundle[0], *order.words, *order.places[board], *order.own[board]]
    words += ["--unless-flying", "--record", str(record)]
    started = time.monotonic()
    with log.open("wb") as file:
        process = subprocess.Popen(words, **_surroundings(order), stdout=file, stderr=file)
        left = _await(process, desk)
    told = _judged(record, log, process.returncode, time.monotonic() - started)
    if told.flies:
        return told
    before, after = _versions(board, order)
    why = f"left on request; {told.why}" if left else told.why
    return dataclasses.replace(told, why=why, before=before, after=after)


def _versions(board: str, order: Order) -> tuple[str | None, str | None]:
    """What flew and flies on a board that did not take the bundle, asked anew; None where it does not answer."""
    words = [*order.command, "status", *order.places[board], "--json"]
    done = subprocess.run(words, **_surroundings(order), capture_output=True, check=False)
    try:
        current = json.loads(done.stdout)["current"]
    except (ValueError, KeyError, TypeError):
        return None, None
    # Whatever refused it did so before the switch, or went back after it; else nobody knows what was before.
    return None if current == order.bundle[1] else current, current


def _surroundings(order: Order) -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(order.path)}
    return {"cwd": order.folder, "env": environment, "stdin": subprocess.DEVNULL}


def _await(process: subprocess.Popen[bytes], desk: Desk) -> bool:
    """Wait for the end of `process`; when somebody wants it left, ask it to end, as Ctrl-C would. Whether so."""
    left = False
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_LOOK_S)
            return left
        if desk.left() and not left:
            left = True
            ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN  # by nohup, say; a child inherits that
            process.send_signal(signal.SIGTERM if ignored else signal.SIGINT)


def _judged(record: Path, log: Path, code: int, seconds: float) -> Outcome:
    """What `deploy` wrote down, if its exit code agrees; else the last line of its log is the reason."""
    try:
        told = outcome.read(record)
    except UserError:
        told = Outcome("failed")
    state = told.state if told.flies == (code == 0) else "failed"
    why = told.why or ("" if code == 0 and told.flies else _last_line(log, code))
    table = {**outcome.to_table(told), "state": state, "why": why, "seconds": round(seconds, 1)}
    return Outcome(**table)


def _last_line(log: Path, code: int) -> str:
    """The last thing that was said, which for a UserError is its message."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _LAST_WORDS))
        lines = file.read().decode("utf-8", "replace").split("\n")
    said = [line.strip() for line in lines if line.strip()]
    return said[-1] if said else f"it ended with {code} and said nothing"
