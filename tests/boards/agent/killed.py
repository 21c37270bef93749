"""Stop the agent before every change of its disk, take away what was not synced, and look what the board holds then.

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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from dis2_boards.agent import disk, environment, judging, launcher
from dis2_boards.agent.places import Places, pointed
from dis2_boards.agent.serving import serve
from tests.boards.agent.power import MODELS, Killed, Power
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


def stops(scene: Scene, models: Sequence[str] = MODELS, *, backward: bool = False) -> Iterator[Stop]:
    """Every stop of `scene`, under each model; an AssertionError says what was not whole."""
    with stand_ins(), tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        start, root = Path(folder) / "start", Path(folder) / "root"
        start.mkdir()
        for asked in scene.before:
            talk(start, asked)
        StandInService.healthy = scene.healthy
        verbs = _rehearsed(scene, start, root)
        numbers = range(verbs.index(scene.since) + 1 if scene.since else 1, len(verbs) + 1)
        seen: dict[str, tuple[str, str, str]] = {}
        for number in reversed(numbers) if backward else numbers:
            stop = Stop(verbs[number - 1], "")
            for model in models:
                stop.change = _stop(scene, start, root, number, model)
                where = f"{scene.name}, {stop.verb}, before {stop.change}, {model}"
                state = f"{digest_of(root)} {StandInService.flies}"
                if state not in seen:
                    seen[state] = held(root, where), _booted(root, where), _mended(root, where)
                    assert set(seen[state]) <= set(scene.may), f"{where}: {seen[state]}"
                stop.states[model], stop.booted[model], stop.mended[model] = seen[state]
            yield stop


def _rehearsed(scene: Scene, start: Path, root: Path) -> list[str]:
    """The request of each change, where nothing stops it."""
    verbs: list[str] = []
    with _connected(scene, start, root, 0) as (power, requests):
        power.heard = lambda: verbs.append(requests.verb)
        serve(requests, io.BytesIO())
    assert held(root) == scene.ends, f"{scene.name} ends with {held(root)}"
    return verbs


def _stop(scene: Scene, start: Path, root: Path, number: int, model: str) -> str:
    """Stop before change `number`, and take away what is lost; which change that is."""
    with _connected(scene, start, root, number) as (power, requests):
        with contextlib.suppress(Killed):
            serve(requests, io.BytesIO())
        power.cut(model)
        return named(power.changes[number - 1])


@contextlib.contextmanager
def _connected(scene: Scene, start: Path, root: Path, number: int) -> Iterator[tuple[Power, Requests]]:
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(start, root, symlinks=True)
    StandInService.flies = pointed(root / "current")
    power = Power(root, number)
    with contextlib.closing(power), mock.patch.object(disk, "witness", power):
        yield power, Requests(root, scene.asked)


def digest_of(root: Path) -> str:
    """A name for all that is in a folder, but for times."""
    total = hashlib.sha256()
    for where, folders, files in os.walk(root):
        folders.sort()
        for name in sorted([*folders, *files]):
            path = os.path.join(where, name)
            total.update(os.path.relpath(path, root).encode())
            if os.path.islink(path):
                total.update(os.readlink(path).encode())
            elif name in files and name not in ("deploy.log", "deploy.lock", "live.json"):
                with open(path, "rb") as file:
                    total.update(re.sub(rb'"since_s": [0-9.]+', b"", file.read()))
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


def _mended(root: Path, where: str) -> str:
    """What is current after the next connection; then the same deploy, made again, must end well."""
    answers = talk(root, [{"ask": "lock"}], check=False)
    assert answers == [{}], f"{where}: {answers}"
    state = held(root, where)
    left = [path.name for path in [*root.glob(".*"), *(root / "versions").glob(".*"), root / "pending.json"]]
    assert not [name for name in left if os.path.lexists(root / name) or name.endswith((".new", ".old"))], (
        f"{where}: {left}"
    )
    with mock.patch.object(StandInService, "healthy", True):
        talk(root, deploy(NEW, "again"))
    assert held(root, where) == "NEW", where
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
    print(table({scene.name: list(stops(scene)) for scene in SCENES}), end="")
