"""The list of blows: each kind at each moment of a rehearsed deploy, and those that are struck in another way."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.boards.emulated.blows import KINDS, Kind, cut_power, flip, moments_of, wait_for_frozen
from tests.boards.emulated.cargo import NEW
from tests.boards.emulated.scene import Scene
from tests.boards.emulated.tapped import COUNTED
from tests.boards.emulated.watch import Blow, Watched

Act = Callable[[Scene], Watched]
FLIES, INSTALLED = "old-flies", "new-installed"
"""Disks that blows begin with: the old version flies; and the new one is placed and installed beside it."""
LATE = ("prove", "service", "switch", "settle")
"""Requests that come after `install`: blows at them need not wait for it again."""
TURN = ("pending.json", ".pending.ticket", ".current.back", ".previous.next", ".current.next", "current", "previous")
"""Names that a switch turns on; every change of one of them is a place for a blow."""
QUICK = {
    "the deploy is killed": ("install 1 before",),
    "the board's agent is killed": ("place 1 before",),
    "the board's power is cut": ("install 1 before", "settle 1 before"),
    "the cable is pulled": ("switch 1 after",),
    "what flies is killed": ("switch 1 after",),
    "the disk is full": ("place 1 before",),
}
"""Blow -> the moments of it that belong to --quick."""
EVENLY = 12
"""How many of all changes until it is installed are struck, evenly spread."""


@dataclass(frozen=True)
class Case:
    """One blow at one moment."""

    blow: str
    """What happens."""
    moment: str
    """When."""
    act: Act
    """Deploys the new version, and does it; returns how the deploy ended."""
    wanted: tuple[str, ...] = ("old", "new")
    """What the board may run afterwards."""
    start: str = FLIES
    """The disk that the board begins with."""
    quick: bool = False
    """Whether it belongs to the few of --quick."""


@dataclass(frozen=True)
class Rehearsal:
    """What a deploy that nothing happens to does."""

    moments: Sequence[str]
    """Its moments."""
    changes: Sequence[str]
    """The changes that the agent makes to the disk: `NAME FILE` each."""


def rehearse(scene: Scene, until: str = "") -> Rehearsal:
    """Deploy the new version with a counting agent, as far as the moment `until`, and write down what passes."""
    watched = _tapped(scene, "count", 0, {until: lambda deploy: deploy.kill()} if until else {})
    if watched.code and not until:
        raise AssertionError(f"the rehearsal failed with {watched.code}: {watched.said[-1500:]}")
    lines = scene.board.inside(f"cat {COUNTED}").stdout.splitlines()
    return Rehearsal(tuple(watched.moments), tuple(line.partition(" ")[2] for line in lines))


def cases(early: Rehearsal, late: Rehearsal) -> list[Case]:
    """All blows, by a rehearsal of a deploy until it has installed, and one that began with that done."""
    found, moments = [], _joined(early, late)
    for kind in KINDS:
        for moment in moments_of(kind, moments):
            quick, start = moment in QUICK.get(kind.name, ()), INSTALLED if moment.split()[0] in LATE else FLIES
            found.append(Case(kind.name, moment, partial(_at, kind, moment), quick=quick, start=start))
    for how, blow in (("kill", "the board's agent is killed"), ("freeze", "the board's power is cut")):
        found += _of_changes(how, blow, early.changes, _spread(early.changes), FLIES)
        found += _of_changes(how, blow, late.changes, _turning(late.changes), INSTALLED)
    return [*found, *_others()]


def _joined(early: Rehearsal, late: Rehearsal) -> list[str]:
    """The moments of a whole deploy."""
    done = [moment for moment in early.moments if moment.split()[0] not in LATE]
    return done + [moment for moment in late.moments if moment.split()[0] in LATE]


def _of_changes(how: str, blow: str, changes: Sequence[str], numbers: Sequence[int], start: str) -> Iterator[Case]:
    what = "change" if start == FLIES else "change of the installed"
    for number in numbers:
        moment = f"before {what} {number} of {len(changes)}: {changes[number - 1]}"
        yield Case(blow, moment, partial(_change, how, number), start=start)


def _others() -> Iterator[Case]:
    """Blows that no moment of the agent's conversation is the place for."""
    for pattern in ("manifest.json", "manifest.sha256", "models/*.onnx", "goldens/*.npz", "wheels/*.lock"):
        act = partial(_flipped_bundle, pattern)
        yield Case("a bit flips in the workstation's bundle", pattern, act, ("old",), pattern == "models/*.onnx")
    yield Case("a bit flips in the workstation's wheels", "numpy-*.whl", partial(_flipped_wheel, "numpy-*.whl"))
    yield Case("a second deploy at once", "place 1 before", partial(_second, 0), ("new",), True)
    yield Case("a second deploy at once, with --wait", "place 1 before", partial(_second, 600), ("new",))
    yield Case("the host key is another one", "before the deploy", _other_host, ("old",), True)


def _at(kind: Kind, moment: str, scene: Scene) -> Watched:
    return scene.deploy(NEW, blows={moment: lambda watched: kind.strike(scene, watched)})


def _change(how: str, number: int, scene: Scene) -> Watched:
    if how == "kill":
        return _tapped(scene, how, number)
    done: list[Watched] = []
    watcher = threading.Thread(target=lambda: done.append(_tapped(scene, how, number)))
    watcher.start()
    if wait_for_frozen(scene, watcher.is_alive):
        cut_power(scene, Watched(()))
    watcher.join()
    return done[0]


def _tapped(scene: Scene, how: str, number: int, blows: Mapping[str, Blow] | None = None) -> Watched:
    """Deploy the new version with an agent that stops before its change `number`."""
    words = [sys.executable, "-m", "tests.boards.emulated.tapped", how, str(number)]
    return scene.station.run([*words, *scene.words_of(NEW)], blows)


def _spread(changes: Sequence[str]) -> list[int]:
    """Numbers, from 1, of some changes, evenly spread."""
    return list(range(1, len(changes) + 1, max(1, len(changes) // EVENLY)))


def _turning(changes: Sequence[str]) -> list[int]:
    """Numbers, from 1, of the changes that a switch turns on."""
    bare = {name.lstrip(".") for name in TURN}
    names = [change.rpartition(" ")[2].lstrip(".").removesuffix(".new") for change in changes]
    return [number for number, name in enumerate(names, 1) if name in bare]


def _flipped_bundle(pattern: str, scene: Scene) -> Watched:
    with _copy_of(scene.bundles[NEW]) as copy:
        flip(sorted(copy.glob(pattern))[0])
        return scene.edge("deploy", str(copy), *scene.words_of(NEW)[2:])


def _flipped_wheel(pattern: str, scene: Scene) -> Watched:
    with _copy_of(scene.wheels) as copy:
        flip(sorted(copy.glob(pattern))[0])
        return scene.deploy(NEW, "--wheels", str(copy))


def _second(wait_s: float, scene: Scene) -> Watched:
    """While the first deploy is at `place`, a second one of the same version; what the second does is judged here."""
    second: list[Watched] = []

    def start(_: Watched) -> str:
        runner = threading.Thread(target=lambda: second.append(scene.deploy(NEW, "--wait", str(wait_s))))
        runner.start()
        if not wait_s:
            runner.join()
            if second[0].code != 2 or "another deploy holds the board" not in second[0].said:
                raise AssertionError(f"the second deploy was not refused: {second[0].said[-500:]}")
        else:
            runners.append(runner)
        return "go"

    runners: list[threading.Thread] = []
    watched = scene.deploy(NEW, blows={"place 1 before": start})
    for runner in runners:
        runner.join()
        if second[0].code:
            raise AssertionError(f"the second deploy did not wait: {second[0].said[-500:]}")
    return watched


def _other_host(scene: Scene) -> Watched:
    scene.status()  # so that the workstation knows the first one
    scene.board.off()
    scene.on("other_key")
    return scene.deploy(NEW)


@contextlib.contextmanager
def _copy_of(folder: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(shutil.copytree(folder, Path(name) / folder.name))
