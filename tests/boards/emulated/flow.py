"""The way of a version onto a board and off it again, for real; a step that fails stops the flow."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dis2_edge.terminal import say
from tests.boards.emulated import judge
from tests.boards.emulated.base import HOME, UID
from tests.boards.emulated.cargo import NEW, OLD
from tests.boards.emulated.scene import ROOT, Scene
from tests.boards.emulated.watch import Watched


class FailedError(AssertionError):
    """A step did not do what it must."""


@dataclass(frozen=True)
class Done:
    """A step of the flow that passed."""

    what: str
    """Its sentence."""
    found: str
    """Its figures."""
    seconds: float
    """How long it took."""


def run(scene: Scene) -> list[Done]:
    """Do every step, in order; FailedError at the first that fails. The board is on before and after."""
    done = []
    for step in STEPS:
        what = (step.__doc__ or "").split("\n")[0].rstrip(".")
        began = time.monotonic()
        found = step(scene)
        done.append(Done(what, found, time.monotonic() - began))
        say(f"ok  {what}: {found} ({done[-1].seconds:.0f} s)")
    return done


def packs(scene: Scene) -> str:
    """Two bundles are packed for the board, and proven here."""
    scene.pack(OLD)
    scene.pack(NEW)
    return ", ".join(f"{name} {id}" for id, name in scene.known().items())


def first_deploy(scene: Scene) -> str:
    """A board with nothing gets everything, installs it without a network, proves it and flies it."""
    board, wire = scene.board, scene.board.wire
    before = wire.sent
    watched = _well(scene.deploy(OLD))
    _runs(scene, OLD)
    _hold(not judge.rubbish(scene.root), f"nothing is left lying: {judge.rubbish(scene.root)}")
    env = board.inside(f"ls {ROOT}/current/env/bin; {ROOT}/current/env/bin/python -c 'import pip'")
    _hold("No module named 'pip'" in env.stderr, "the environment has no pip afterwards")
    return f"{(wire.sent - before) / 1e6:.1f} MB travelled; {len(watched.moments)} moments"


def flies_on(scene: Scene) -> str:
    """It flies by itself, and says so."""
    _hold(scene.flying() == _id(scene, OLD), "live.json is of the version that was deployed, and goes on")
    live = json.loads((scene.root / "state" / "live.json").read_text("utf-8"))
    return f"{live['ticks']} ticks, {live['engine']} {live['precision']}"


def refuses_a_stranger(scene: Scene) -> str:
    """A bundle that nobody signed whom the board trusts is refused, and the old version flies on."""
    with tempfile.TemporaryDirectory() as name:
        unsigned = Path(shutil.copytree(scene.bundles[NEW], Path(name) / "bundle"))
        (unsigned / "manifest.sig").unlink()
        watched = scene.edge("deploy", str(unsigned), *scene.words_of(NEW)[2:])
    _hold(watched.code == 2, f"exit {watched.code}: {watched.said[-500:]}")
    _runs(scene, OLD)
    said = [line for line in watched.said.splitlines() if line.startswith("error: ")][-1]
    return said.partition("; ")[0].replace(scene.target, "the board")


def nothing_to_send(scene: Scene) -> str:
    """The same deploy again sends no file."""
    watched = _well(scene.deploy(OLD))
    _hold(not [moment for moment in watched.moments if moment.startswith("put")], "no file travelled")
    _runs(scene, OLD)
    return "no file travelled"


def second_deploy(scene: Scene) -> str:
    """Another version sends what differs, and nothing else."""
    before = scene.board.wire.sent
    watched = _well(scene.deploy(NEW))
    sent = scene.board.wire.sent - before
    _runs(scene, NEW)
    whole = sum(path.stat().st_size for path in scene.wheels.glob("*.whl"))
    _hold(sent < whole / 4, f"{sent} bytes travelled, the wheels alone are {whole}")
    _hold(scene.flying() == _id(scene, NEW), "the new version flies")
    return f"{sent / 1e6:.1f} MB travelled in {len([m for m in watched.moments if m.endswith('before')])} requests"


def proves(scene: Scene) -> str:
    """The board verifies what it flies: every hash, every golden, by ONNX Runtime on aarch64."""
    why = scene.proven(_id(scene, NEW))
    _hold(not why, why)
    proof = json.loads((scene.root / "versions" / _id(scene, NEW) / "proof.json").read_text("utf-8"))
    rows = [row for row in proof["rows"] if row["proven"]]
    _hold(len(rows) > 0, "the proof has rows that passed")
    chosen = proof["chosen"]
    return f"{len(rows)} rows proven, {chosen['engine']} {chosen['precision']} chosen"


def loses_a_sensor(scene: Scene) -> str:
    """A short stream on the board loses its camera, flies on with heights alone, and gets the camera back."""
    sources = " ".join(f"--source {name}=flight:{HOME}/flight" for name in ("rgb", "ndsm"))
    words = f"--rig {ROOT}/rig.toml {sources} --faults loss.toml --seconds 35 --speed max --out stream --threads 1"
    command = f"rm -rf stream; {ROOT}/current/env/bin/python -I -m dis2_edge run {ROOT}/current/bundle {words}"
    done = scene.board.inside(command, 900)
    _hold(done.returncode == 0, f"the stream ended with {done.returncode}: {done.stderr[-500:]}")
    summary = json.loads((scene.board.home / "stream" / "summary.json").read_text("utf-8"))
    ticks = summary["scenarios"]
    _hold(ticks.get("ndsm", 0) > 0, f"ticks were answered without the camera: {ticks}")
    _hold(ticks.get("rgb+ndsm", 0) > ticks["ndsm"], f"and with it, before and after: {ticks}")
    _hold(summary["answered"] == summary["due"], f"every tick was answered: {summary['answered']} of {summary['due']}")
    _hold(summary["sensors"]["rgb"]["health"].get("off", 0) > 0, "the loss was named")
    told = ", ".join(f"{name} {count}" for name, count in ticks.items())
    return f"{summary['answered']} of {summary['due']} ticks answered: {told}"


def tells(scene: Scene) -> str:
    """`status` from afar tells versions, what flies and how it is."""
    code, said = scene.status()
    _hold(code == 0, f"status ended with {code}: {said[-500:]}")
    for name in scene.known():
        _hold(name in said, f"status names {name}: {said}")
    return f"{len(said.splitlines())} lines"


def rolls_back(scene: Scene) -> str:
    """`rollback` lets the old version fly again."""
    _well(scene.edge("rollback", "--target", scene.target))
    _runs(scene, OLD)
    _hold(scene.flying() == _id(scene, OLD), "the old version flies")
    return "the old version flies"


def starts_with_power(scene: Scene) -> str:
    """After a power cut the board starts and flies what it flew."""
    scene.board.cut()
    scene.on()
    _runs(scene, OLD)
    _hold(scene.flying() == _id(scene, OLD), "the old version flies")
    return "the old version flies"


def prunes(scene: Scene) -> str:
    """`prune` removes what no version uses; what flies and what flew before stay whole."""
    data = bytes(1 << 20)
    unused = scene.root / "stock" / hashlib.sha256(data).hexdigest()
    unused.write_bytes(data)
    os.chown(unused, UID, UID)
    done = _well(scene.edge("prune", "--target", scene.target))
    _runs(scene, OLD)
    _hold(not unused.exists(), "a file that no version uses is gone")
    why = scene.proven(_id(scene, OLD))
    _hold(not why, why)
    return done.said.strip().splitlines()[-1].replace(scene.target, "the board")


STEPS: tuple[Callable[[Scene], str], ...] = (
    packs,
    first_deploy,
    flies_on,
    refuses_a_stranger,
    nothing_to_send,
    second_deploy,
    proves,
    loses_a_sensor,
    tells,
    rolls_back,
    starts_with_power,
    prunes,
)


def _id(scene: Scene, version: str) -> str:
    return next(id for id, name in scene.known().items() if name == version)


def _well(watched: Watched) -> Watched:
    _hold(watched.code == 0, f"exit {watched.code} after {watched.moments[-3:]}: {watched.said[-1500:]}")
    return watched


def _runs(scene: Scene, version: str) -> None:
    state = scene.state()
    _hold(state.runs == version and not state.faults and not state.pending, f"the board runs {version}: {state}")


def _hold(condition: bool, what: str) -> None:
    if not condition:
        raise FailedError(what)
