"""A bundle to a whole fleet: the canary, then wave after wave, and what became of every board."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dis2_boards.fleet import playbook
from dis2_boards.fleet.desk import Desk, Order
from dis2_boards.fleet.interruption import Interruption
from dis2_boards.fleet.outcome import Outcome
from dis2_boards.fleet.plan import Fleet
from dis2_boards.fleet.record import Record
from dis2_edge import bundle as bundles
from dis2_edge.bundle import Bundle
from dis2_edge.errors import BoardError
from dis2_edge.files import storage_errors
from dis2_edge.terminal import note, say, warn

COMMAND = (sys.executable, "-m", "dis2_edge")
"""What a step runs, before a verb."""
_TO_EVERY_PLACE = ("--ssh-config", "--python")
"""Words for `deploy` that lead to a board, whichever it is: `status` needs them as well."""
_LOOK_S = 0.2
"""Time between two looks at the desk while ansible runs."""
_FINE = (0, 2)
"""Exit codes of ansible that say: every task ran; or: boards failed."""


def roll_out(bundle: Path, plan: Fleet, words: Sequence[str], *, command: Sequence[str] = COMMAND) -> int:
    """Deploy `bundle` to every board of `plan`, each with `words` for `dis2-edge deploy`; 0 when all fly it, else 2.

    Boards that fly it already are found so by `deploy` and not touched, so that the same call goes on where an earlier
    one stopped. The record (fleet.json for fleet.toml) and each board's log are kept beside the fleet's file. Raises
    MissingExtraError without ansible, BundleError on a bundle that is none, and BoardError when ansible itself failed.
    """
    playbook.find()
    read = bundles.read(bundle)
    bundles.verify_hashes(read)
    record = Record(plan, read.id, read.manifest.name)
    logs = plan.path.with_name(f"{plan.path.stem}-logs")
    with storage_errors(logs):
        logs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="dis2-edge-fleet-") as folder:
        desk = Desk(Path(os.path.realpath(folder)))
        order = _order(plan, read, words, command, logs)
        desk.lay(order)
        _run(desk, plan, record, order.path)
    record.show()
    _say_end(record, logs)
    return 0 if record.all_fly() else 2


def _order(plan: Fleet, bundle: Bundle, words: Sequence[str], command: Sequence[str], logs: Path) -> Order:
    general = tuple(
        word for flag, value in itertools.pairwise(words) if flag in _TO_EVERY_PLACE for word in (flag, value)
    )
    return Order(
        command=tuple(command),
        bundle=(str(bundle.path), bundle.id),
        words=tuple(words),
        places={name: (*member.place, *general) for name, member in plan.boards.items()},
        own={name: member.words(plan.path.parent) for name, member in plan.boards.items()},
        folder=os.getcwd(),
        path=tuple(os.path.abspath(place) for place in sys.path),
        logs=os.path.abspath(logs),
    )


def _run(desk: Desk, plan: Fleet, record: Record, path: Sequence[str]) -> None:
    """Let ansible do it, telling each board's end as it comes."""
    record.keep()
    with desk.attended(), Interruption(desk) as interruption:
        process = playbook.start(plan, desk.folder, path)
        code = None
        while code is None:
            try:
                code = process.wait(_LOOK_S)
            except subprocess.TimeoutExpired:
                interruption.look(process)
            _tell_news(desk, record)
        record.interrupted = interruption.wanted
        record.keep()
    if code not in _FINE and not interruption.left:
        record.show()
        log = (desk.folder / "ansible.log").read_text("utf-8", "replace").strip().splitlines()
        raise BoardError(
            f"ansible-playbook ended with {code}: {' '.join(log[-3:]) or 'it said nothing'}",
            expected="0, or 2 when boards failed",
            mend="dis2-edge's pins: pip install -c constraints.txt 'dis2-edge[fleet]'",
        )


def _tell_news(desk: Desk, record: Record) -> None:
    for name, wave in record.open():
        how = desk.told(name)
        if record.take(name, how) and how.state != "running":
            note(f"{wave}: {name}: {_in_words(how)} ({how.seconds:.0f} s)")


def _in_words(how: Outcome) -> str:
    if how.flies:
        chosen = f"{how.engine} {how.precision}".strip()
        return f"{how.state}, {how.before or 'nothing'} -> {how.after or '?'}" + f", {chosen}" * bool(chosen)
    return f"{how.state}: {how.why}"


def _say_end(record: Record, logs: Path) -> None:
    if record.all_fly():
        say(f"every board flies bundle {record.bundle}")
    else:
        stopped = record.stopped()
        warn(
            f"{stopped}; the same command again goes on" if stopped else "boards are left; the same command tries again"
        )
    say(f"record: {record.path}, each board's log: {logs}")
