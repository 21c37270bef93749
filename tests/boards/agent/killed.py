"""Before every change of its disk that the agent makes: what would the board hold if it, or the power, ended here?

    python -m tests.boards.agent.killed --table

prints the table of docs/deploying/killed.md. Wheels, proof and service are stand-ins without processes, as hundreds of
deploys are made here; the agent itself, from the first request to the last file, is the real one.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from dis2_boards.agent import disk, environment, judging, launcher
from dis2_boards.agent.places import Places, pointed
from dis2_boards.agent.serving import serve
from tests.boards.agent.power import MODELS, Killed, Power, Remains
from tests.boards.agent.pretence import StandInService, stand_ins
from tests.boards.agent.scenes import NAMES, NEW, SCENES, Request, Scene, deploy

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Where thousands of small folders cost nothing."""


class Requests(io.BytesIO):
    """What the workstation sends; remembers the request that is being served."""

    def __init__(self, root: Path, asked: Sequence[Request | bytes]) -> None:
        hello = {"ask": "hello", "root": str(root)}
        lines = [row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in [hello, *asked]]
        super().__init__(b"".join(lines))
        self.verb = ""

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        self.verb = json.loads(line)["ask"] if line else "end"
        return line


@dataclass
class Stop:
    """One stop of the agent."""

    verb: str
    """The request that was served."""
    change: str
    """The change that was not made any more."""
    states: dict[str, str] = field(default_factory=dict)
    """Model of the disk -> what is current then."""
    booted: dict[str, str] = field(default_factory=dict)
    """The same after the launcher was started anew, as after a power cut."""
    mended: dict[str, str] = field(default_factory=dict)
    """The same after the next connection took the lock."""


def stops(scene: Scene, models: Sequence[str] = MODELS) -> list[Stop]:
    """Every stop of `scene`, under each model; an AssertionError says what was not whole."""
    with stand_ins(), tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        start = Path(folder) / "start"
        start.mkdir()
        for asked in scene.before:
            talk(start, asked)
        StandInService.healthy = scene.healthy
        return _Stopped(scene, start, models).run()


class _Stopped:
    """One run of a scene, with a look at what would be left before each change.

    States that were looked at already are not again, nor is what a deploy makes of a board that was mended: both are
    all that is in the folder, and what is told of one is true of the other.
    """

    def __init__(self, scene: Scene, start: Path, models: Sequence[str]) -> None:
        self._scene, self._start, self._models = scene, start, models
        self._requests = Requests(start, scene.asked)
        self._power = Power(start, heard=self._heard)
        self._found: list[Stop] = []
        self._wrong: AssertionError | None = None
        self._seen: dict[str, tuple[str, str, str]] = {}
        self._deployed: set[str] = set()

    def run(self) -> list[Stop]:
        """All stops, in order."""
        StandInService.flies = pointed(self._start / "current")
        witness = mock.patch.object(disk, "witness", self._power)
        with contextlib.closing(self._power), contextlib.suppress(Killed), witness:
            serve(self._requests, io.BytesIO())
        if self._wrong is not None:
            raise self._wrong
        assert held(self._start) == self._scene.ends, f"{self._scene.name} ends with {held(self._start)}"
        return self._found

    def _heard(self, change: str) -> None:
        """A fault ends the run: the agent would answer an AssertionError of ours as one of its own."""
        if self._wrong is not None:
            raise Killed
        if not self._found and self._scene.since not in ("", self._requests.verb):
            return
        try:
            self._found.append(self._stop(Stop(self._requests.verb, named(change))))
        except AssertionError as error:
            self._wrong = error
            raise Killed from error

    def _stop(self, stop: Stop) -> Stop:
        for model in self._models:
            remains = self._power.cut(model)
            where = f"{self._scene.name}, {stop.verb}, before {stop.change}, {model}"
            state = f"{_digest(remains.walked())} {StandInService.flies}"
            if state not in self._seen:
                self._seen[state] = self._looked_at(remains, where)
            stop.states[model], stop.booted[model], stop.mended[model] = self._seen[state]
        return stop

    def _looked_at(self, remains: Remains, where: str) -> tuple[str, str, str]:
        root, flies, ticks = self._start.with_name("root"), StandInService.flies, StandInService.ticks
        remains.made(root)
        try:
            with mock.patch.object(disk, "witness", disk.Witness()):
                found = held(root, where), _booted(root, where), _mended(root, where, self._deployed)
        finally:
            StandInService.flies, StandInService.ticks = flies, ticks
        assert set(found) <= set(self._scene.may), f"{where}: {found}"
        return found


def digest_of(root: Path) -> str:
    """A name for all that is in a folder, but for times."""
    with contextlib.closing(Power(root)) as power:
        return _digest(power.cut("kept").walked())


def _digest(walked: Iterable[tuple[str, str | bytes]]) -> str:
    total = hashlib.sha256()
    for path, what in walked:
        total.update(path.encode() + b"\0")
        if path.rpartition("/")[2] not in ("deploy.log", "deploy.lock", "live.json"):
            data = what.encode() if isinstance(what, str) else what
            total.update(re.sub(rb'"since_s": [0-9.]+', b"", data) + b"\0")
    return total.hexdigest()


def _booted(root: Path, where: str) -> str:
    """What the launcher starts when the board gets its power back."""
    if (root / "current").is_symlink():
        copy = root.with_name("booted")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(root, copy, symlinks=True)
        with mock.patch.object(launcher, "boot_id", return_value="another start"):
            launcher.go_back(copy)
            assert not (copy / "current").is_symlink() or not launcher.go_back(copy), f"{where}: goes back for ever"
            service = launcher.command_of(copy) if (copy / "current").is_symlink() else []
        state = held(copy, where)
        assert ("a=b" in service) <= (state == "NEW"), f"{where}: {state} is started as the new one is"
        rig = service[service.index("--rig") + 1] if "--rig" in service else ""
        assert bool(rig and Path(rig).read_bytes() == b"new") <= (state == "NEW"), f"{where}: {state} has the new rig"
        return state
    return "nothing"


def _mended(root: Path, where: str, deployed: set[str]) -> str:
    """What is current after the next connection; then the same deploy, made again, must end well."""
    answers = talk(root, [{"ask": "lock"}], check=False)
    assert answers == [{}], f"{where}: {answers}"
    state = held(root, where)
    left = [path.name for path in [*root.glob(".*"), *(root / "versions").glob(".*"), root / "pending.json"]]
    assert not [name for name in left if os.path.lexists(root / name) or name.endswith((".new", ".old"))], (
        f"{where}: {left}"
    )
    after = f"{digest_of(root)} {StandInService.flies}"
    if after not in deployed:
        with mock.patch.object(StandInService, "healthy", True):
            talk(root, deploy(NEW, "again"))
        assert held(root, where) == "NEW", where
        deployed.add(after)
    return state


def held(root: Path, where: str = "") -> str:
    """OLDER, OLD, NEW or nothing: what `current` names, whole to the last byte; an AssertionError where it is not."""
    if not os.path.lexists(root / "current"):
        return "nothing"
    places, name = Places(root), pointed(root / "current")
    assert name is not None, f"{where}: current leads to nothing"
    judging.whole(places, name)
    assert environment.stands(places.version(name)), f"{where}: no environment"
    assert json.loads((places.version(name) / "choice.json").read_text())["engine"], where
    assert (places.version(name) / "launch.py").read_bytes() == Path(launcher.__file__).read_bytes(), where
    for link in (places.previous, places.way_back):
        assert not os.path.lexists(link) or pointed(link), f"{where}: {link.name} leads to nothing"
    return NAMES[name]


def talk(root: Path, asked: Sequence[Request | bytes], *, check: bool = True) -> list[Any]:
    """One whole connection; its answers."""
    write = io.BytesIO()
    serve(Requests(root, asked), write)
    replies = [json.loads(line) for line in write.getvalue().splitlines()]
    replies = [reply for reply in replies if "tell" not in reply][1:]
    wrong = [reply for reply in replies if "answer" not in reply]
    assert not (check and wrong), wrong
    return [reply.get("answer", reply) for reply in replies]


def named(change: str) -> str:
    """A change with names in the place of hashes, and the rest of a path left out."""
    kind, _, path = re.sub("[0-9a-f]{64}", "SHA256", change).rpartition(" ")
    for sha, name in NAMES.items():
        path = path.replace(sha, name)
    parts = path.split("/")
    return f"{kind} {'/'.join([*parts[:2], '...'] if len(parts) > 3 else parts)}"


def table(rows: Mapping[str, Sequence[Stop]]) -> str:
    """The table as it stands in the documentation: changes in a row after which all is the same are one line."""
    lines = []
    for scene, found in rows.items():
        lines += ["", f"### {scene[0].upper()}{scene[1:]}: {len(found)} changes", ""]
        lines += ["| request | stopped before each of | killed | power cut | then the launcher | then a connection |"]
        lines += ["|---|---|---|---|---|---|"]
        lines += _grouped(found)
    return "\n".join(lines).strip() + "\n"


def _grouped(found: Sequence[Stop]) -> Iterator[str]:
    """One line for all changes in a row of one request after which the board is the same."""
    for (verb, states), row in itertools.groupby(found, lambda stop: (stop.verb, _states(stop))):
        changes = [stop.change for stop in row]
        names = "; ".join(dict.fromkeys(changes))
        yield f"| `{verb}` | {len(changes)}: {names} | {' | '.join(states)} |"


def _states(stop: Stop) -> tuple[str, ...]:
    cut = [stop.states[model] for model in MODELS[1:]]
    columns = [[stop.states["kept"]], cut, stop.booted.values(), stop.mended.values()]
    return tuple(" or ".join(sorted(set(states))) for states in columns)


if __name__ == "__main__" and sys.argv[1:] == ["--table"]:
    print(table({scene.name: stops(scene) for scene in SCENES}), end="")
