"""Blow after blow, each on a board that flies the old version while the new one is deployed; then it is judged."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from dis2_edge.errors import InternalError
from dis2_edge.files import read_json, write_json
from dis2_edge.terminal import progress, say
from tests.boards.emulated import judge
from tests.boards.emulated.blows import AGENT
from tests.boards.emulated.cargo import NEW, OLD
from tests.boards.emulated.cases import FLIES, INSTALLED, Case, Rehearsal, cases, rehearse
from tests.boards.emulated.scene import Scene
from tests.boards.emulated.watch import Watched

AGENT_ENDS_S = 300.0
"""How long an agent whose workstation is gone may take to undo what it was at."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    blow: str
    """What happened."""
    moment: str
    """When."""
    code: int | None
    """Exit code of the deploy; negative: the signal that ended it."""
    runs: str
    """What `current` names afterwards: old, new, none."""
    flies: str
    """What says of itself that it flies: old, new, none."""
    proven: str
    """Empty where the board verified it, else why not."""
    next: str
    """Empty where the same deploy, again, ended with the new version; else why not; `-` where it was not tried."""
    faults: tuple[str, ...]
    """All that must not be."""
    pending: bool
    """Whether a switch was left that nobody has settled yet: the next deploy, or rollback, does."""
    seconds: float
    """How long the deploy ran until its end."""
    bundle: str
    """Id of the new version: it stands for the state of the code."""

    @property
    def bad(self) -> bool:
        """Whether the board was not exactly the old or exactly the new, flying."""
        return bool(self.faults or self.proven or self.next not in ("", "-"))


def run(scene: Scene, log: Path, args: argparse.Namespace) -> tuple[list[Row], int]:
    """Strike every blow that is wanted, and keep the table in `log` after each; the rows, and how many are listed."""
    every = _start(scene)
    until = time.monotonic() + args.minutes * 60
    rows = _rows(log) if args.go_on else []
    again = {row.blow for row in rows if row.next != "-"}
    known = {(row.blow, row.moment) for row in rows}
    wanted = [case for case in every if (case.quick or not args.quick) and args.blow in case.blow]
    wanted = [case for case in wanted if (case.blow, case.moment) not in known]
    for case in progress(_shuffled(wanted), "blows"):
        if time.monotonic() > until:
            say(f"the time is up: {len(wanted)} blows were wanted, {len(rows) - len(known)} struck; go on with --go-on")
            break
        rows.append(strike(scene, case, again=_wanted(args, case.blow in again)))
        again.add(case.blow)
        write_json(log, [asdict(row) for row in rows])
        say(told(rows[-1]))
    return rows, len(every)


def _wanted(args: argparse.Namespace, had: bool) -> bool:
    """Whether a blow is followed by the same deploy once more, where one of its kind was or was not."""
    return bool(args.again == "all" or (args.again == "one" and not had and not args.quick))


def strike(scene: Scene, case: Case, *, again: bool) -> Row:
    """One blow on a board that flies the old version, and what came of it; `again`: then the same deploy once more."""
    _fresh(scene, case.start)
    began = time.monotonic()
    watched, faults = Watched(()), []
    try:
        watched = case.act(scene)
    except AssertionError as error:
        faults.append(str(error))
    seconds = time.monotonic() - began
    _recover(scene)
    row = judged(scene, case, watched, faults, seconds)
    if not again or row.bad:
        return row
    return Row(**{**asdict(row), "next": _next(scene)})


def judged(scene: Scene, case: Case, watched: Watched, faults: list[str], seconds: float) -> Row:
    """What the board runs, flies and proves now."""
    flying = scene.known().get(scene.flying(), judge.NONE)
    state = scene.state()
    faults += state.faults
    if state.runs not in case.wanted:
        faults.append(f"it runs {state.runs}, expected {' or '.join(case.wanted)}")
    if flying != state.runs:
        faults.append(f"it runs {state.runs}, and {flying} flies")
    if watched.code is not None and not 0 <= watched.code <= 2 and watched.code not in (-9, 130):
        faults.append(f"the deploy ended with {watched.code}")
    if watched.code == 1 or "Traceback" in watched.said:
        faults.append(f"the deploy broke: {watched.said[-600:]}")
    if watched.code == 0 and state.runs != NEW:
        faults.append("the deploy said that it was done, and the old version runs")
    proven = scene.proven(state.version) if state.version else "nothing to prove"
    new = next(id for id, name in scene.known().items() if name == NEW)
    return Row(
        case.blow,
        case.moment,
        watched.code,
        state.runs,
        flying,
        proven,
        "-",
        tuple(faults),
        state.pending,
        seconds,
        new,
    )


def told(row: Row) -> str:
    """A row in one line."""
    verdict = "BAD " + "; ".join([*row.faults, row.proven, row.next]) if row.bad else "ok"
    found = f"exit {row.code}, runs {row.runs}, flies {row.flies}, {row.seconds:.0f} s"
    return f"{row.blow}, {row.moment}: {found}: {verdict}"


def _start(scene: Scene) -> list[Case]:
    """The blows, by rehearsals of a deploy; disks and rehearsals of the same two versions are used again."""
    for version in (OLD, NEW):
        if version not in scene.bundles:
            scene.pack(version)
    file = scene.board.place / "rehearsal.json"
    kept = read_json(file, InternalError) if file.is_file() else {}
    if kept.get("known") != scene.known() or not (scene.board.has(FLIES) and scene.board.has(INSTALLED)):
        early, late = _rehearsed(scene)
        kept = {"known": scene.known(), "early": asdict(early), "late": asdict(late)}
        write_json(file, kept)
    return cases(Rehearsal(**kept["early"]), Rehearsal(**kept["late"]))


def _rehearsed(scene: Scene) -> tuple[Rehearsal, Rehearsal]:
    """Keep the disks that blows begin with: the old version flies, then the new is installed beside it too."""
    scene.board.off()
    scene.board.prepare()
    scene.on()
    scene.equip()
    watched = scene.deploy(OLD)
    if watched.code or not scene.flying():
        raise InternalError(f"the old version does not fly: exit {watched.code}: {watched.said[-1500:]}")
    scene.board.off()
    scene.board.save(FLIES)
    _fresh(scene, FLIES)
    early = rehearse(scene, "prove 1 before")
    _recover(scene)
    scene.board.off()
    scene.board.save(INSTALLED)
    _fresh(scene, INSTALLED)
    late = rehearse(scene)
    for name, found in (("until it is installed", early), ("after that", late)):
        say(f"rehearsed {name}: {len(found.moments)} moments, {len(found.changes)} changes of the disk")
    return early, late


def _fresh(scene: Scene, disk: str) -> None:
    """A board that flies the old version, and a workstation that knows it."""
    scene.board.wire.plugged, scene.board.wire.flip_after = True, None
    scene.board.off()
    scene.board.load(disk)
    scene.station.forget_hosts()
    scene.on()


def _recover(scene: Scene) -> None:
    """What comes after any blow: power comes back, the cable is plugged in, an agent left alone ends, room is made."""
    scene.board.wire.plugged, scene.board.wire.flip_after = True, None
    if not scene.board.powered:
        scene.on()
    until = time.monotonic() + AGENT_ENDS_S
    while any(AGENT in line for line in scene.board.processes().values()) and time.monotonic() < until:
        time.sleep(0.5)
    scene.board.unfill()


def _next(scene: Scene) -> str:
    """Deploy the new version again, with nothing happening; empty if it flies then and nothing is left lying."""
    scene.station.forget_hosts()
    watched = scene.deploy(NEW)
    state = scene.state()
    if watched.code or state.runs != NEW or state.faults:
        return f"exit {watched.code}, runs {state.runs} {state.faults}: {watched.said[-600:]}"
    left = judge.rubbish(scene.root)
    return f"left lying: {left}" if left else ""


def _rows(log: Path) -> list[Row]:
    rows = read_json(log, InternalError) if log.is_file() else []
    return [Row(**{**row, "faults": tuple(row["faults"])}) for row in rows]


def _shuffled(wanted: Iterable[Case]) -> list[Case]:
    """One blow of each kind, then the next of each: whenever the time is up, every kind was struck."""
    left: dict[str, list[Case]] = {}
    for case in wanted:
        left.setdefault(case.blow, []).append(case)
    order = []
    while any(left.values()):
        order += [cases.pop(len(cases) // 2) for cases in left.values() if cases]
    return order
